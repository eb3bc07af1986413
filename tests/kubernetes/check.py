"""Checks deploy/kubernetes: against Kubernetes's schemas, against the programs' settings, and
against what it promises.

    check.py DIR ISSUER-HELP VERIFIER-HELP      the two last: files with the output of --help
"""

import pathlib
import re
import sys

import kubernetes_validate
import yaml

VERSIONS = ("1.31", "1.37")
LISTENERS = {"TESSERA_LISTEN": "grpc", "TESSERA_HTTP_LISTEN": "https", "TESSERA_HEALTH_LISTEN": "health"}


def documents(directory):
    for path in sorted(directory.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] != "Kustomization":
                yield path.name, document


def container_of(deployment):
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return container


def check_hardened(deployment):
    pod = deployment["spec"]["template"]["spec"]
    container = container_of(deployment)
    assert pod["automountServiceAccountToken"] is False, "a Kubernetes token is mounted"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    assert "memory" in container["resources"]["limits"]
    assert pod["topologySpreadConstraints"]


def check_settings(deployment, known):
    container = container_of(deployment)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    for variable in container["env"]:
        name = variable["name"]
        assert name in known, f"{name}: the program has no such setting"
        value = variable.get("value")
        assert value is not None, f"{name}: a secret comes as a file"
        if name.endswith("_FILE"):
            assert any(value.startswith(mount + "/") for mount in mounts), f"{value}: not mounted"
        if name in LISTENERS:
            assert value == f"0.0.0.0:{ports[LISTENERS[name]]}", f"{name}: another port"


def check_selected(everything):
    """Whatever selects pods by label, and names their ports, finds them."""
    deployments = [document for _, document in everything if document["kind"] == "Deployment"]
    pods = [d["spec"]["template"]["metadata"]["labels"] for d in deployments]
    names = {port["name"] for d in deployments for port in container_of(d)["ports"]}
    for _, document in everything:
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            assert any(spec["selector"].items() <= labels.items() for labels in pods)
            assert all(port["targetPort"] in names for port in spec["ports"])
        if document["kind"] == "PodDisruptionBudget":
            wanted = spec["selector"]["matchLabels"].items()
            assert any(wanted <= labels.items() for labels in pods)
        if document["kind"] == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]["name"]
            [scaled] = [d for d in deployments if d["metadata"]["name"] == target]
            assert "replicas" not in scaled["spec"], "an update would undo the autoscaler"
        if document["kind"] == "NetworkPolicy":
            for rule in spec.get("ingress", []):
                assert all(port["port"] in names for port in rule.get("ports", []))


def main(directory, issuer_help, verifier_help):
    everything = list(documents(pathlib.Path(directory)))
    for name, document in everything:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    known = {
        "tessera-issuer": set(re.findall(r"TESSERA_\w+", pathlib.Path(issuer_help).read_text())),
        "tessera-verifier": set(re.findall(r"TESSERA_\w+", pathlib.Path(verifier_help).read_text())),
    }
    for name, document in everything:
        if document["kind"] == "Deployment":
            check_hardened(document)
            check_settings(document, known[document["metadata"]["name"]])
    check_selected(everything)
    print(f"{len(everything)} resources")


if __name__ == "__main__":
    main(*sys.argv[1:])

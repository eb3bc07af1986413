"""Checks deploy/kubernetes: against Kubernetes's schemas, against the programs' settings, and
against what it promises.

    check.py DIR ISSUER-HELP VERIFIER-HELP      the two last: files with the output of --help
"""

import pathlib
import re
import sys
import urllib.parse

import kubernetes_validate
import yaml

VERSIONS = ("1.31", "1.37")
# What the programs take for a drain where nothing else is said, in seconds, and a margin.
DRAIN_SECONDS = 5 + 10 + 5
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
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports, f"{probe}: no such port"
    assert pod["terminationGracePeriodSeconds"] >= DRAIN_SECONDS, "killed while it drains"
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0 and rolling["maxSurge"] >= 1
    # The profile `restricted` of Pod Security allows these alone of what is here.
    assert all(volume.keys() <= {"name", "secret", "configMap"} for volume in pod["volumes"])
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
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
            [budgeted] = [d for d, labels in zip(deployments, pods) if wanted <= labels.items()]
            least = budgeted["spec"].get("replicas", 3)
            assert spec.get("minAvailable", 0) < least, "no node could ever be drained"
        if document["kind"] == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]["name"]
            [scaled] = [d for d in deployments if d["metadata"]["name"] == target]
            assert "replicas" not in scaled["spec"], "an update would undo the autoscaler"
            for metric in spec["metrics"]:
                requests = container_of(scaled)["resources"]["requests"]
                assert metric["resource"]["name"] in requests, "a share of nothing"
        if document["kind"] == "NetworkPolicy":
            for rule in spec.get("ingress", []):
                assert all(port["port"] in names for port in rule.get("ports", []))


def check_reachable(everything):
    """Each service lets in what its Service offers, and gets out to its store and to DNS."""
    policies = {d["metadata"]["name"]: d["spec"] for _, d in everything if d["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for _, document in everything:
        if document["kind"] == "Service":
            component = document["spec"]["selector"]["app.kubernetes.io/component"]
            let_in = {p["port"] for rule in policies[f"tessera-{component}"]["ingress"] for p in rule["ports"]}
            offered = {port["targetPort"] for port in document["spec"]["ports"]}
            assert offered <= let_in, f"{document['metadata']['name']}: offered, and not let in"
        if document["kind"] == "Deployment":
            policy = policies[document["metadata"]["name"]]
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert policy["podSelector"]["matchLabels"].items() <= labels.items()
            environment = {v["name"]: v["value"] for v in container_of(document)["env"]}
            store = urllib.parse.urlsplit(environment["TESSERA_STORE"])
            let_out = {p["port"] for rule in policy["egress"] for p in rule["ports"]}
            assert {53, store.port} <= let_out, f"{document['metadata']['name']}: no way to the store"


def check_told(everything, readme):
    """What must be there before is in the README, key by key."""
    for _, document in everything:
        if document["kind"] != "Deployment":
            continue
        for volume in document["spec"]["template"]["spec"]["volumes"]:
            source = volume.get("secret", {}).get("secretName") or volume["configMap"]["name"]
            assert f"`{source}`" in readme, f"{source} is not in the README"
        for variable in container_of(document)["env"]:
            if variable["name"].endswith("_FILE"):
                key = variable["value"].rsplit("/", 1)[1]
                # A Secret of the type kubernetes.io/tls has these keys by itself.
                assert key in ("tls.crt", "tls.key") or f"`{key}`" in readme, f"{key} is not in the README"


def relabelled(rules, labels):
    """The `job` that relabelling by these rules of prometheus.yml ends with; None: left out."""
    for rule in rules:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        found = re.fullmatch(rule["regex"], value) if "regex" in rule else re.fullmatch("(.*)", value)
        if rule.get("action") == "keep":
            if not found:
                return None
        elif found:
            labels[rule["target_label"]] = rule.get("replacement", "$1").replace("$1", found[1])
    return labels["job"]


def check_scraped(everything, directory):
    """Prometheus knows each service by the job that the alerts name, with the operator and without."""
    rules = (directory.parent / "prometheus/tessera.rules.yml").read_text()
    monitors = list(yaml.safe_load_all((directory / "prometheus/pod-monitors.yaml").read_text()))
    [job] = yaml.safe_load((directory / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    for _, document in everything:
        if document["kind"] != "Deployment":
            continue
        name, labels = document["metadata"]["name"], document["spec"]["template"]["metadata"]["labels"]
        assert f'absent(up{{job="{name}"}} == 1)' in rules
        chosen = [m for m in monitors if m["spec"]["selector"]["matchLabels"].items() <= labels.items()]
        [endpoint] = [e for m in chosen for e in m["spec"]["podMetricsEndpoints"]]
        assert endpoint["relabelings"][-1] == {"targetLabel": "job", "replacement": name}
        for port in container_of(document)["ports"]:
            meta = {f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9]', '_', key)}": value for key, value in labels.items()}
            meta |= {"__meta_kubernetes_pod_container_port_name": port["name"], "job": "tessera"}
            expected = name if port["name"] == endpoint["port"] else None
            assert relabelled(job["relabel_configs"], meta) == expected


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
    check_reachable(everything)
    check_scraped(everything, pathlib.Path(directory))
    check_told(everything, (pathlib.Path(directory) / "README.md").read_text())
    print(f"{len(everything)} resources")


if __name__ == "__main__":
    main(*sys.argv[1:])

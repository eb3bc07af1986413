"""Checks deploy/grafana: provisioning files against the fields that Grafana reads of them, and
that dashboard, data source and docker-compose.yml fit together. Grafana itself can't be had here.

    check.py DEPLOY COMPOSE

The fields are those of the structures that Grafana fills from these files (apiVersion 1), in its
pkg/services/provisioning/{datasources,dashboards}/types.go: it passes over what it does not know,
so a slip would show as a dashboard without data.
"""

import json
import pathlib
import sys

import yaml

DATASOURCE = {
    "orgId": int, "orgName": str, "version": int, "name": str, "type": str, "access": str, "url": str,
    "user": str, "database": str, "basicAuth": bool, "basicAuthUser": str, "withCredentials": bool,
    "isDefault": bool, "correlations": list, "jsonData": dict, "secureJsonData": dict, "editable": bool,
    "uid": str,
}
PROVIDER = {
    "name": str, "type": str, "orgId": int, "folder": str, "editable": bool, "options": dict,
    "disableDeletion": bool,
}


def entries(path, key, fields, required):
    document = yaml.safe_load(path.read_text())
    assert document["apiVersion"] == 1, path
    assert document.keys() <= {"apiVersion", key}, path
    for entry in document[key]:
        for name, value in entry.items():
            assert name in fields, f"{path}: Grafana reads no {name}"
            assert isinstance(value, fields[name]), f"{path}: {name}"
        assert required <= entry.keys(), path
    return document[key]


def main(deploy, compose):
    grafana = pathlib.Path(deploy) / "grafana"
    provisioning = grafana / "provisioning"
    [source] = entries(provisioning / "datasources/tessera.yaml", "datasources", DATASOURCE, {"name", "type", "access", "url"})
    [provider] = entries(provisioning / "dashboards/tessera.yaml", "providers", PROVIDER, {"name", "options"})

    # The dashboard asks for a source of this type, and takes the default one.
    dashboard = json.loads((grafana / "tessera.json").read_text())
    [variable] = dashboard["templating"]["list"]
    assert variable["type"] == "datasource" and variable["query"] == source["type"] == "prometheus"
    assert source["isDefault"] and dashboard["uid"] and dashboard["title"]

    services = yaml.safe_load(pathlib.Path(compose).read_text())["services"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in services
    mounts = [mount.split(":") for mount in services["grafana"]["volumes"]]
    mounts = {at: what for what, at, *_ in mounts}
    assert mounts["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    assert mounts[provider["options"]["path"] + "/tessera.json"] == "./deploy/grafana/tessera.json"
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])

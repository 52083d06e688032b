"""Bills of materials: what is in an image or a package, as SPDX 2.3 and as CycloneDX 1.5. Same content, same bytes."""
import datetime
import json
import re
import uuid

SPACE = uuid.UUID("77656972-0000-4000-8000-000000000001")


def from_dpkg(status):
    """[{name, version, arch, source, bytes}] out of a dpkg status file, by name."""
    found = []
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.M))
        if fields.get("Status", "").endswith(" installed"):
            found.append({"name": fields["Package"], "version": fields["Version"], "arch": fields["Architecture"],
                          "source": fields.get("Source", fields["Package"]).split()[0], "bytes": int(fields.get("Installed-Size", "0")) << 10})
    return sorted(found, key=lambda package: package["name"])


def purl(package):
    return f"pkg:deb/debian/{package['name']}@{package['version'].replace(':', '%3A').replace('+', '%2B')}?arch={package['arch']}"


def when(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def identity(name, packages):
    return str(uuid.uuid5(SPACE, name + json.dumps(packages, sort_keys=True)))


def spdx(name, version, packages, epoch):
    def entry(package):
        return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", package["name"]), "name": package["name"], "versionInfo": package["version"],
                "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", "supplier": "NOASSERTION", "sourceInfo": f"source package {package['source']}",
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl(package)}]}
    entries = [entry(package) for package in packages]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
            "documentNamespace": f"urn:uuid:{identity(name + version, packages)}", "creationInfo": {"created": when(epoch), "creators": ["Tool: weir"]},
            "packages": entries,
            "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": e["SPDXID"]} for e in entries]}


def cyclonedx(name, version, packages, epoch):
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "serialNumber": f"urn:uuid:{identity(name + version, packages)}",
            "metadata": {"timestamp": when(epoch), "component": {"type": "firmware", "name": name, "version": version}},
            "components": [{"type": "library", "bom-ref": purl(p), "name": p["name"], "version": p["version"], "purl": purl(p)} for p in packages]}


def write(stem, name, version, packages, epoch):
    for suffix, form in ((".spdx.json", spdx), (".cdx.json", cyclonedx)):
        with open(stem + suffix, "w", encoding="utf-8") as f:
            json.dump(form(name, version, packages, epoch), f, indent=1)
            f.write("\n")

"""The rules of compose.yaml that no schema knows.

usage: check-compose.py FOLDER-OF-THE-SERVERS COMPOSE-FILE...

Every server is asked with --print-config whether it understands its environment: an unknown setting is refused there, so
that a setting that was renamed is found here. A server that is not built is named and skipped.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

KEYS = "/var/lib/proof-of-agent/keys"
# Where `init` writes what POA_CONFIG names, and what it looks like.
DATABASE = '[database]\nurl = "postgres://poa_{name}:secret@postgres:5432/poa_{name}"\n'

problems = []


def wrong(service, problem):
    problems.append(f"{service}: {problem}")


def load(path):
    services = YAML(typ="safe", pure=True).load(Path(path))["services"]
    assert services, f"{path} has no services"
    return services


def check_house_rules(name, service):
    """What holds for every container."""
    image = service.get("image", "")
    if not re.fullmatch(r"[a-z0-9./-]+:[\w.-]+", image) or image.endswith(":latest"):
        wrong(name, f"the image `{image}` is not pinned by a tag")
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    for limit in ("cpus", "memory", "pids"):
        if limit not in limits:
            wrong(name, f"has no limit of {limit}")
    if "restart" not in service:
        wrong(name, "does not say when it is started again")
    if service.get("privileged") or service.get("network_mode") == "host":
        wrong(name, "reaches out of its container")
    published = service.get("ports", [])
    if name != "gateway" and published:
        wrong(name, f"publishes {published}")
    for port in published:
        if not str(port).startswith("127.0.0.1:"):
            wrong(name, f"publishes {port} beyond this machine")
    for variable, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN", variable) and not variable.endswith("_FILE"):
            wrong(name, f"{variable} stands in the environment: give a file")
        if re.search(r"://[^/@]*:[^/@]*@", str(value)):
            wrong(name, f"{variable} holds a password")
    for other in service.get("depends_on", {}):
        if other not in services:
            wrong(name, f"depends on {other}, which is not here")


def printed(name, program, environment):
    """The configuration as the server understands it; None where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POA")}
        clean |= {key: str(value) for key, value in environment.items()}
        if "POA_CONFIG" in clean:
            if clean["POA_CONFIG"] != f"{KEYS}/database.toml":
                wrong(name, f"POA_CONFIG is {clean['POA_CONFIG']}, which init does not write")
            clean["POA_CONFIG"] = str(Path(folder, "database.toml"))
            Path(clean["POA_CONFIG"]).write_text(DATABASE.format(name=name))
        asked = subprocess.run([program, "--print-config"], env=clean, capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        wrong(name, f"does not understand its settings: {asked.stderr.strip()}")
        return None
    return tomllib.loads(asked.stdout)


def check_server(name, service, program):
    """What holds for every server of ours."""
    config = printed(name, program, service.get("environment", {}))
    if config is None:
        return
    server = config["server"]
    if server["keys_dir"] != KEYS or f"{name}-keys:{KEYS}:ro" not in service["volumes"]:
        wrong(name, "its keys are not mounted where it looks for them, read-only")
    for field in ("listen", "admin_listen"):
        if not server[field].startswith("0.0.0.0:"):
            wrong(name, f"server.{field} is {server[field]}: no other container reaches it")
    if "database" in config and f"@postgres:5432/poa_{name}" not in config["database"]["url"]:
        wrong(name, f"its database is {config['database']['url']}")
    if "lightning" in config and f"lightning:{config['lightning']['data_dir']}" not in service["volumes"]:
        wrong(name, "the simulated node's file is in no volume")
    kept = config.get("log", {}).get("kept_checkpoint")
    if name == "attestation" and (not kept or f"log:{Path(kept).parent}" not in service["volumes"]):
        wrong(name, "the log's last checkpoint is kept in no volume")
    for peer, address in server["peers"].items():
        listen = services.get(peer, {}).get("environment", {}).get("POA__SERVER__LISTEN", "")
        if address != f"http://{peer}:{listen.rpartition(':')[2]}":
            wrong(name, f"calls {peer} at {address}, which listens at {listen or 'no address'}")
        if peer not in service.get("depends_on", {}):
            wrong(name, f"calls {peer} and does not wait for it")


def check_images(dockerfile):
    """Every target exists, and every server of the Dockerfile asks after its own health."""
    text = Path(dockerfile).read_text()
    targets = {target for target in re.findall(r"^FROM \S+ AS (\S+)$", text, re.M)}
    for name, service in services.items():
        if "build" not in service:
            continue
        target = service["build"]["target"]
        if target not in targets:
            wrong(name, f"the Dockerfile has no target {target}")
        if target not in ("init", "poa") and f'CMD ["poa-{target}", "--healthcheck"]' not in text:
            wrong(name, "its image does not ask after its health")


folder, base, *overrides = sys.argv[1:]
services = load(base)
for name, service in services.items():
    check_house_rules(name, service)
check_images("ops/docker/Dockerfile")

asked = 0
for path in [base, *overrides]:
    for name, service in load(path).items():
        whole = {**services[name], **service} if name in services else service
        whole["environment"] = {**services.get(name, {}).get("environment", {}), **service.get("environment", {})}
        program = Path(folder, f"poa-{name}").absolute()
        if name in ("init", "postgres", "poa"):
            continue
        if not program.is_file():
            print(f"{program} is not built: the settings of {name} are NOT CHECKED")
            continue
        check_server(name, whole, program)
        asked += 1

if problems:
    sys.exit("\n".join(problems))
print(f"ok -- compose.yaml keeps its rules, and {asked} servers understand their settings")

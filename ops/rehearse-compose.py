"""Runs what compose.yaml describes, without containers.

usage: rehearse-compose.py FOLDER-OF-THE-SERVERS

PostgreSQL with the image's arguments, keys and passwords by ops/docker/init.sh, roles and databases by
ops/docker/postgres, then each server with its own environment, its own keys and, where this runs as root, as the user of the
image without any capability. Names of containers become addresses of this machine, ports become free ones. `poa demo` has to
go through, and `poa doctor` to find nothing. What containers add (images, volumes, name resolution) is not seen here.
"""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

KEYS = "/var/lib/proof-of-agent/keys"
LIGHTNING = "/var/lib/proof-of-agent/lightning"
LOG = "/var/lib/proof-of-agent/log"
SERVER_UID = 10001
READY_SECONDS = 60

programs = Path(sys.argv[1]).absolute()
services = YAML(typ="safe", pure=True).load(Path("compose.yaml"))["services"]
servers = [name for name in services if f"{KEYS}:ro" in "".join(services[name].get("volumes", [])) and name != "poa"]
is_root = os.geteuid() == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_user(uid):
    """The beginning of a command that runs as this user, without any capability."""
    if not is_root:
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--"]


def run(command, **options):
    """Runs a command that must work; shows what it said where it does not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}")
    return done.stdout


class Rehearsal:
    """One run in a folder that is removed afterwards."""

    def __init__(self, folder, postgres):
        self.folder, self.postgres = folder, postgres
        self.processes = []
        # A container's port, by its name and number, becomes one of this machine.
        self.ports = {}
        self.database_port = free_port()
        self.postgres_uid = pwd.getpwnam("postgres").pw_uid if is_root else os.geteuid()
        self.server_uid = SERVER_UID if is_root else os.geteuid()

    def port(self, name, number):
        return self.ports.setdefault((name, number), free_port())

    def init(self):
        variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "POA_INIT_DATA": self.folder / "data",
            "POA_INIT_KEYS": self.folder / "keys",
            "POA_INIT_PASSWORDS": self.folder / "passwords",
            "POA_INIT_SERVER_UID": self.server_uid,
            "POA_INIT_POSTGRES_UID": self.postgres_uid,
            "POA_INIT_DATABASE_HOST": f"127.0.0.1:{self.database_port}",
        }
        # As the first start, and as every later one.
        for _ in range(2):
            run(["sh", "ops/docker/init.sh"], env={name: str(value) for name, value in variables.items()})

    def databases(self):
        cluster, sockets = self.folder / "cluster", self.folder / "sockets"
        for path in (cluster, sockets):
            path.mkdir(mode=0o700)
            os.chown(path, self.postgres_uid, -1)
        environment = services["postgres"]["environment"]
        user = as_user(self.postgres_uid)
        password = self.folder / "passwords/postgres.password"
        # The image's entry point does this; it lets its own socket in without a password while it makes the databases.
        run([*user, self.postgres / "initdb", "-D", cluster, "-U", "postgres", f"--pwfile={password}", "--auth-local=trust",
             *environment["POSTGRES_INITDB_ARGS"].split()], cwd=self.folder)
        command = [*user, self.postgres / "postgres", "-D", cluster, "-k", sockets, "-p", str(self.database_port),
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self.start("postgres", command, {"PATH": os.environ["PATH"]})
        psql = {"PATH": os.environ["PATH"], "PGHOST": str(sockets), "PGPORT": str(self.database_port)}
        self.until("postgres", lambda: subprocess.run(
            [*user, "psql", "-U", "postgres", "-c", "SELECT 1"], env=psql, capture_output=True, check=False).returncode == 0)
        script = self.folder / "10-databases.sh"
        shutil.copy("ops/docker/postgres/10-databases.sh", script)
        run([*user, "bash", script], env=psql | {"POA_PASSWORDS": str(self.folder / "passwords")}, cwd=self.folder)

    def local(self, name, value):
        """A value of the environment of a container, for a process of this machine."""
        value = str(value).replace(KEYS, str(self.folder / "keys" / name)).replace(LOG, str(self.folder / "log"))
        for other in services:
            for (port_of, number) in list(self.ports):
                if port_of == other:
                    value = value.replace(f"http://{other}:{number}", f"http://127.0.0.1:{self.port(other, number)}")
        return value

    def serve(self):
        for name in servers:
            for variable in ("POA__SERVER__LISTEN", "POA__SERVER__ADMIN_LISTEN"):
                self.port(name, services[name]["environment"][variable].rpartition(":")[2])
        lightning, log = self.folder / "lightning", self.folder / "log"
        for folder in (lightning, log):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.server_uid, -1)
        for name in servers:
            environment = {"POA__SERVER__KEYS_DIR": str(self.folder / "keys" / name)}
            for variable, value in services[name]["environment"].items():
                if variable.endswith("LISTEN"):
                    environment[variable] = f"127.0.0.1:{self.port(name, value.rpartition(':')[2])}"
                else:
                    environment[variable] = self.local(name, value)
            if any(LIGHTNING in volume for volume in services[name]["volumes"]):
                environment["POA__LIGHTNING__DATA_DIR"] = str(lightning)
            program = programs / f"poa-{name}"
            self.start(name, [*as_user(self.server_uid), program], environment)
            self.until(name, lambda: name == "gateway" or subprocess.run(
                [program, "--healthcheck"], env=environment, capture_output=True, check=False).returncode == 0)

    def look(self):
        home = {"POA_HOME": str(self.folder / "home"), "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        endpoint = f"http://127.0.0.1:{self.port('gateway', '3000')}"
        poa = [programs / "poa", "--endpoint", endpoint]
        self.until("gateway", lambda: subprocess.run(
            [*poa, "info"], env=home, capture_output=True, check=False).returncode == 0)
        run([*poa, "demo"], env=home)
        tool = services["poa"]["environment"]
        token = self.local("operator", tool["POA_ADMIN_TOKEN_FILE"])
        admins = self.local("operator", tool["POA_ADMIN_ENDPOINTS"])
        print(run([*poa, "doctor", "--admin-endpoint", admins, "--token-file", token], env=home))
        ledger = self.local("operator", tool["POA_ADMIN_ENDPOINT"])
        print(run([*poa, "admin", "audit", "--admin-endpoint", ledger, "--token-file", token], env=home))

    def start(self, name, command, environment):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes.append((name, subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)))

    def until(self, name, ready):
        end = time.monotonic() + READY_SECONDS
        while not ready():
            ended = next((process.poll() for of, process in self.processes if of == name), None)
            if ended is not None or time.monotonic() > end:
                log = (self.folder / f"{name}.log").read_text()
                sys.exit(f"{name} {'ended' if ended is not None else 'is not ready'}:\n{log}")
            time.sleep(0.1)

    def stop(self):
        for _, process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main():
    missing = [name for name in [*servers, "mesh"] if not (programs / f"poa-{name}").is_file()]
    installed = [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)]
    postgres = next((Path(path).parent for path in installed if path), None)
    if missing or postgres is None:
        print(f"not rehearsed: {', '.join(missing) or 'PostgreSQL'} is not here (make build): SKIPPED")
        return
    reached = [*as_user(SERVER_UID), "test", "-x", programs / f"poa-{servers[0]}"]
    if subprocess.run(reached, check=False).returncode != 0:
        print(f"not rehearsed: user {SERVER_UID} cannot reach {programs}: SKIPPED")
        return
    with tempfile.TemporaryDirectory(prefix="poa-rehearsal-") as folder:
        os.chmod(folder, 0o755)
        rehearsal = Rehearsal(Path(folder), postgres)
        try:
            rehearsal.init()
            rehearsal.databases()
            rehearsal.serve()
            rehearsal.look()
        finally:
            rehearsal.stop()
    print(f"ok -- {len(servers)} servers run as compose.yaml says")


main()

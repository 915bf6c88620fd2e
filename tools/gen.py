"""`make gen`: the console's API client, from the OpenAPI document of our own routes, and the list of settings.

Writes web/openapi.json, web/src/api/schema.gen.ts and docs/settings.md. With --check it writes nothing and fails when
they are not what the code says now.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from auralink.app.assembly import assemble
from auralink.app.roles import Role
from auralink.kit.http.shell import build_api
from auralink.kit.settings import CoreSettings, SecretStore
from tools import settings_reference
from tools.setup import node_environment, web_packages
from tools.steps import ROOT, StepFailed, fail, run, say

_WEB = ROOT / "web"
_DOCUMENT = _WEB / "openapi.json"
_SETTINGS = ROOT / "docs" / "settings.md"
# Assembling connects to nothing; the address only has to be there.
_NO_DATABASE = "postgresql+asyncpg://nobody@localhost/nothing"


def document() -> str:
    """The gateway's OpenAPI document, in a form in which equal routes are equal text."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        core = CoreSettings(state_dir=state)
        assembly, _ = assemble([Role.GATEWAY], core, SecretStore(state), _NO_DATABASE)
        api = build_api(assembly, assembly.server("gateway")).openapi()
    return json.dumps(api, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description="Generate the console's API client and the list of settings.")
    arguments.add_argument("--check", action="store_true", help="fail when what is generated is not current")
    check = arguments.parse_args().check
    current, settings = document(), settings_reference.document()
    if check and (not _SETTINGS.exists() or _SETTINGS.read_text() != settings):
        fail("docs/settings.md is not what the settings are now. Run: make gen")
    _SETTINGS.write_text(settings)
    try:
        environment = node_environment()
        web_packages(environment)
        if check and _DOCUMENT.read_text() != current:
            fail("web/openapi.json is not what the routes say now. Run: make gen")
        _DOCUMENT.write_text(current)
        script = "gen:check" if check else "gen"
        run("npm", "run", "--silent", script, cwd=_WEB, env=environment)
    except StepFailed as error:
        fail(str(error))
    written = "Wrote web/openapi.json, web/src/api/schema.gen.ts and docs/settings.md."
    say("What is generated is current." if check else written)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the client scenarios of the MCP conformance suite, of both eras, against `corvid run`.

    tests/mcp/conformance.py [--corvid BIN] [--suite FOLDER] [--scenario NAME]

The suite and a Node that it runs on are installed from npm into FOLDER (build/mcp-conformance)
once. Without npm, or when its registry is out of reach, it is skipped by name and the exit code is
77. Scenarios that are known to fail stand in conformance-known.yaml, with the reason; one that
passes by now, or another that fails, makes the exit code 1.
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from driver import ROOT, SKIPPED, install, log_in, use

PACKAGES = ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22"]
ERAS = ["2025-11-25", "2026-07-28"]
KNOWN = pathlib.Path(__file__).with_name("conformance-known.yaml")

# What is called in a scenario after the tools were listed; in the others nothing is.
CALLS = {
    "tools_call": [("add_numbers", {"a": 5, "b": 3})],
    "sse-retry": [("test_reconnection", {})],
    "elicitation-sep1034-client-defaults": [("test_client_elicitation_defaults", {})],
    "sep-2322-client-request-state": [("test_mrtr_echo_state", {}), ("test_mrtr_unrelated", {}),
                                      ("test_mrtr_no_state", {}), ("test_mrtr_no_result_type", {})],
    "http-standard-headers": [("test_headers", {}), ("my-hyphenated-tool", {})],
    "request-metadata": [],
    "auth/scope-step-up": [("test-tool", {})],
    "auth/scope-retry-limit": [("test-tool", {})],
    "auth/authorization-server-migration": [("test-tool", {})],
}
# What the user says to each question; in the other scenarios nobody is there.
ANSWERS = {"elicitation-sep1034-client-defaults": ""}
MAX_LOGINS = 5
CLIENT_DOCUMENT = "https://conformance-test.local/client-metadata.json"  # what the suite expects


def client(corvid, url):
    """One scenario: the suite starts this with the URL of its server."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    calls = list(CALLS.get(scenario, []))
    for call in context.get("toolCalls", []):  # null is the same as nothing, and no boolean
        arguments = {key: value for key, value in call["arguments"].items() if value is not None}
        calls.append((call["name"], arguments))

    def next_call(results):
        if not results:
            return "suite", None, None
        if scenario == "http-invalid-tool-headers" and len(results) == 1:  # all that are offered
            calls.extend((line.split(":")[0], {"region": "here", "value": "x"})
                         for line in results[0].splitlines())
        if scenario == "json-schema-2020-12-preservation":  # the schema comes back as it was
            if len(results) == 1:
                return "suite", "json_schema_2020_12_tool", None
            schema = json.loads(results[1].partition("It takes: ")[2])
            calls[:] = [None, ("json_schema_echo", {"schema": schema})]
        if len(results) > len(calls):
            return None
        return ("suite", *calls[len(results) - 1])

    server = {"type": "http", "url": url}
    if "client_secret" in context:
        server["oauth"] = {"clientId": context["client_id"], "issuer": context["issuer"],
                           "clientSecret": context["client_secret"]}
    if scenario == "auth/basic-cimd":
        server["oauth"] = {"clientId": CLIENT_DOCUMENT}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(MAX_LOGINS):
            results, done = use(corvid, {"suite": server}, next_call, home=home,
                                answer=ANSWERS.get(scenario))
            for result in results:
                print(result, flush=True)
            print(done.stderr, file=sys.stderr)
            if not any("corvid plugins login suite" in result for result in results):
                return done.returncode
            code = log_in(corvid, "suite", home)
            if code:
                return code
    return 1


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--corvid", default=ROOT / "build/release/corvid")
    options.add_argument("--suite", type=pathlib.Path, default=ROOT / "build/mcp-conformance")
    options.add_argument("--scenario", help="this one alone, with all that is said")
    options.add_argument("--client", help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.client:
        return client(options.corvid, options.client)
    if not install(options.suite, PACKAGES):
        return SKIPPED
    modules = options.suite.resolve() / "node_modules"
    command = [sys.executable, __file__, "--corvid", options.corvid, "--client"]
    suite = [modules / "node/bin/node", modules / "@modelcontextprotocol/conformance/dist/index.js",
             "client", "--timeout", "120000", "--command", shlex.join(map(str, command))]
    if options.scenario:
        return subprocess.run([*suite, "--scenario", options.scenario, "--verbose"]).returncode
    failed = False
    for era in ERAS:
        print(f"== {era}", flush=True)
        with tempfile.TemporaryDirectory() as results:
            done = subprocess.run([*suite, "--requirements", era, "--expected-failures", KNOWN,
                                   "--output-dir", results])
        failed |= done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

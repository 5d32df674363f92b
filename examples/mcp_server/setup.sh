# An MCP server in one file of Python, named by a file that the user trusts.
cp "$EXAMPLE/notes.py" .
cat >servers.json <<JSON
{"mcpServers": {"notes": {"command": "python3", "args": ["notes.py"]}}}
JSON
options=(--mcp servers.json)
task="Note that ravens remember faces, then tell me all notes."

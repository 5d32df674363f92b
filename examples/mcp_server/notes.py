"""An MCP server that keeps notes in a file: JSON-RPC, one message a line."""
import json
import sys

TOOLS = {
    "add": {"description": "Adds a note.",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}},
                            "required": ["text"]}},
    "all": {"description": "Gives all notes.", "inputSchema": {"type": "object"}},
}


def call(name, arguments):
    if name == "add":
        with open("notes.txt", "a", encoding="utf-8") as notes:
            notes.write(arguments["text"] + "\n")
        return "Noted."
    with open("notes.txt", encoding="utf-8") as notes:
        return notes.read()


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "notes", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": name, **tool} for name, tool in TOOLS.items()]}
    if method == "tools/call":
        text = call(params["name"], params.get("arguments", {}))
        return {"content": [{"type": "text", "text": text}]}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    result = answer(message["method"], message.get("params", {}))
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": "Method not found"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)

-- A plugin for Corvid. It returns what it brings; `corvid plugins check FOLDER` says whether it can
-- be loaded. Beside the Lua language there are: read(path), write(path, text), list(path),
-- find(glob, path), search{pattern=, path=, glob=}, json.encode, json.decode, log(text),
-- state.get(key), state.set(key, value), and run{argv={...}} or run{command="..."} with
-- needs = {"run"}.

local function count_words(arguments)
  local _, words = read(arguments.path):gsub("%S+", "")
  return words .. " words"
end

return {
  api = 1,
  description = "Counts words.",
  tools = {
    {
      name = "count_words",
      description = "Counts the words of a file.",
      parameters = {
        type = "object",
        properties = {path = {type = "string"}},
        required = {"path"},
        additionalProperties = false,
      },
      read_only = true,
      run = count_words,
    },
  },
  hooks = {
    -- Sees every call: {name=, arguments=}. May return {deny = "why"} or {arguments = {...}}.
    before_call = function(call) end,
    -- Sees every result: {name=, arguments=, result=, is_error=}. May return {result = "..."}.
    after_call = function(call) end,
    -- Sees every prompt: {text=}. May return {deny = "why"} or {text = "..."}.
    on_prompt = function(prompt) end,
    -- Sees the end of every turn: {answer=, steps=}. May return {again = "what is still to do"}.
    on_stop = function(turn) end,
  },
}

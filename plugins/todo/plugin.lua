-- A list of things to do, kept with the workspace.

local function shown(items)
  if #items == 0 then return "The list is empty." end
  local lines = {}
  for i, item in ipairs(items) do
    lines[i] = string.format("%d. [%s] %s", i, item.done and "x" or " ", item.text)
  end
  return table.concat(lines, "\n")
end

local function items_now()
  local items = state.get("items")
  return items == nil and json.array() or items
end

local function todo(arguments)
  local items = items_now()
  for _, text in ipairs(arguments.add or {}) do
    items[#items + 1] = {text = text, done = false}
  end
  for _, number in ipairs(arguments.done or {}) do
    if not items[number] then error("there is no item " .. number .. "\n" .. shown(items), 0) end
    items[number].done = true
  end
  if arguments.clear then
    local open = json.array()
    for _, item in ipairs(items) do
      if not item.done then open[#open + 1] = item end
    end
    items = open
  end
  state.set("items", items)
  return shown(items)
end

return {
  api = 1,
  description = "A to-do list for work of many steps.",
  tools = {
    {
      name = "todo",
      description = "Keeps a to-do list. Adds items, marks them done by number, clears those done. "
        .. "Returns the list.",
      parameters = {
        type = "object",
        properties = {
          add = {type = "array", items = {type = "string"}},
          done = {type = "array", items = {type = "integer"}},
          clear = {type = "boolean"},
        },
        additionalProperties = false,
      },
      run = todo,
    },
  },
}

-- Finds the project's tests, runs them, and returns what failed.

local function exists(path)
  return (pcall(read, path))
end

-- Each way of testing: what shows that a project uses it, and the command.
local function find_command()
  for _, script in ipairs {"tests/run.sh", "test.sh", "run_tests.sh", "run-tests.sh"} do
    if exists(script) then return "sh " .. script end
  end
  local ok, package = pcall(read, "package.json")
  if ok then
    local parsed, value = pcall(json.decode, package)
    if parsed and type(value.scripts) == "table" and value.scripts.test then
      return "npm test --silent"
    end
  end
  if exists("Cargo.toml") then return "cargo test --quiet" end
  if exists("go.mod") then return "go test ./..." end
  if exists("build/CTestTestfile.cmake") then
    return "ctest --test-dir build --output-on-failure"
  end
  for _, name in ipairs {"Makefile", "makefile", "GNUmakefile"} do
    local found, text = pcall(read, name)
    if found and ("\n" .. text):find("\ntest%s*:") then return "make -s test" end
  end
  local python = find("{test_*,*_test}.py")
  if #python > 0 then
    if exists("pytest.ini") or exists("conftest.py") or exists("tests/conftest.py") then
      return "python3 -m pytest -q"
    end
    local folder = python[1]:match("^(.*)/[^/]*$")
    local glob = python[1]:find("test_[^/]*$") and "test_*.py" or "*_test.py"
    return "python3 -m unittest discover -s '" .. (folder or ".") .. "' -p '" .. glob .. "'"
  end
end

local marks = {"FAIL", "not ok", "[Ee]rror", "ERROR", "panicked", "assert", "Assert", "Expected",
               "Traceback", "✗", "✘", "Segmentation", "expected", "Failure"}

-- The lines that tell of failures with two around them, and the end of the output.
local function failures(output)
  local lines, keep = {}, {}
  for line in (output .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  for i, line in ipairs(lines) do
    for _, mark in ipairs(marks) do
      if line:find(mark) then
        for near = i - 2, i + 2 do keep[near] = true end
        break
      end
    end
  end
  for i = #lines - 10, #lines do keep[i] = true end
  local kept, skipped = {}, false
  for i, line in ipairs(lines) do
    if keep[i] then
      if skipped then kept[#kept + 1] = "[...]" end
      kept[#kept + 1], skipped = line, false
    else
      skipped = true
    end
  end
  return (table.concat(kept, "\n"):gsub("%s+$", ""))
end

local function run_tests(arguments)
  local command = arguments.command or find_command()
  if not command then
    return "No tests were found here. Give their command: {\"command\": \"...\"}"
  end
  local result = run {command = command .. " 2>&1", timeout = arguments.timeout or 300}
  if result.timed_out then return "Timed out: " .. command .. "\n" .. failures(result.output) end
  if result.exit_code == 0 then return "All passed: " .. command end
  local how = result.exit_code and "exit " .. result.exit_code or "signal " .. result.signal
  return "Failed (" .. how .. "): " .. command .. "\n" .. failures(result.output)
end

return {
  api = 1,
  description = "Runs the project's tests and returns the failures only.",
  needs = {"run"},
  tools = {
    {
      name = "run_tests",
      description = "Runs the project's tests with their usual command, or the one given. Returns "
        .. "what failed, or that all passed.",
      parameters = {
        type = "object",
        properties = {
          command = {type = "string"},
          timeout = {type = "integer", minimum = 1, maximum = 600, description = "Seconds."},
        },
        additionalProperties = false,
      },
      run = run_tests,
    },
  },
}

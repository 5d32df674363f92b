#include "runtime/agent.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "plugins/loader.h"
#include "plugins/mcp_tool.h"
#include "runtime/engine_thread.h"
#include "runtime/folders.h"
#include "runtime/instructions.h"
#include "runtime/json_line.h"
#include "runtime/local_dialogue.h"
#include "runtime/plugin_folders.h"
#include "runtime/record.h"
#include "runtime/remote_dialogue.h"
#include "runtime/remote_endpoint.h"
#include "sandbox/files.h"
#include "sandbox/sandbox.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;

fs::path current_folder() {
  std::error_code gone;
  fs::path folder = fs::current_path(gone);
  if (gone) throw RuntimeError("The current folder is gone: go to another one.", kUsage);
  return folder;
}

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

sandbox::Policy policy_of(const SandboxSettings& settings, const fs::path& workspace) {
  sandbox::Policy policy = sandbox::default_policy(workspace);
  if (!settings.enabled) policy.mode = sandbox::Policy::Mode::off;
  policy.network = settings.network;
  policy.hosts = settings.hosts;
  policy.proxy = !policy.network;  // also without hosts: it says what was refused, and may ask
  for (const fs::path& folder : {plugins_folder(), agreed_plugins_folder(policy.workspace)}) {
    std::error_code error;
    const fs::path plugins = fs::canonical(folder, error);
    if (!error) policy.readable.push_back(plugins);  // their programs run inside
  }
  for (const std::string& folder : settings.writable) {
    policy.writable.push_back(fs::absolute(expand_home(folder)));
  }
  return policy;
}

std::string policy_json(const sandbox::Policy& policy, const AgentOptions& options) {
  nlohmann::ordered_json json{{"sandbox", policy.mode == sandbox::Policy::Mode::on},
                              {"network", policy.network}};
  if (!policy.hosts.empty()) json["hosts"] = policy.hosts;
  json["writable"] = nlohmann::ordered_json::array();
  for (const fs::path& path : policy.writable) json["writable"].push_back(path.string());
  if (!options.asked.empty()) json["asked"] = nlohmann::ordered_json::parse(options.asked);
  if (options.owner != 0) json["owner"] = options.owner;
  return json_line(json);
}

}  // namespace

struct Agent::Parts {
  Parts(AgentOptions given, Commons& commons);

  void open_past();
  void open_model();
  void open_remote();
  void open_local();
  void load_own();
  std::string chat_format() const;
  bool has_profile() const;
  void load_plugins();
  void offer();
  void enter_journal();
  asio::awaitable<bool> may_reach(std::string host);

  AgentOptions options;
  Commons& commons;
  Approvals approvals;

  memory::Journal& journal;
  memory::SessionInfo info;
  std::vector<memory::Step> steps;
  memory::SessionHeader header;  // as it stands now
  std::vector<std::string> notices;

  std::optional<LocalModel> own_model;  // where there is none in common
  std::unique_ptr<EngineThread> own_engine;
  const LocalModel* local = nullptr;  // null: the model is remote
  std::unique_ptr<Dialogue> dialogue;

  std::unique_ptr<sandbox::Sandbox> sandbox;
  std::unique_ptr<sandbox::Files> files;
  std::unique_ptr<plugins::PluginSet> plugin_set;  // null for a model with a profile
  tools::Toolbox toolbox;
  std::optional<tools::ToolContext> context;
  std::optional<EventBus> events;
  std::optional<Session> session;
};

Agent::Parts::Parts(AgentOptions given, Commons& commons)
    : options(std::move(given)),
      commons(commons),
      approvals(commons.io),
      journal(commons.journal()) {
  open_past();
  sandbox = sandbox::make_sandbox(policy_of(options.settings.sandbox, header.workspace));
  sandbox->ask_about_hosts([this](std::string host) { return may_reach(std::move(host)); });
  files = std::make_unique<sandbox::Files>(sandbox->policy());
  header.workspace = sandbox->policy().workspace.string();
  header.policy = policy_json(sandbox->policy(), options);
  for (auto& tool : tools::builtin_tools()) toolbox.add(std::move(tool));
  open_model();
  load_plugins();
  enter_journal();
  if (std::string missing = sandbox::shortfall(*sandbox); !missing.empty()) {
    notices.push_back(std::move(missing));
  }

  context.emplace(tools::ToolContext{*sandbox, *files, commons.workers});
  context->spill_folder = cache_folder() / "outputs" / info.id;
  context->approve = [this](tools::Request request) {
    return approvals.decide(std::move(request));
  };
  if (plugin_set && plugin_set->has_hooks()) {
    context->hook = [this](std::string_view when, std::string json) {
      return plugin_set->hook(std::string(when), std::move(json), *context);
    };
  }
  events.emplace(info.id);
  Session::Past past{info.id, replay(info, steps, header), static_cast<std::int64_t>(steps.size())};
  const Session::Rooms rooms{
      commons.io, *dialogue, toolbox, *context, journal, commons.journal_thread, *events};
  session.emplace(std::move(past), rooms, SessionOptions{options.settings.max_steps});
}

// The journaled session to go on with, or the beginnings of a new one.
void Agent::Parts::open_past() {
  if (options.id) {
    const auto found = journal.find(*options.id);
    if (!found && options.id->empty())
      throw RuntimeError("There is no session yet. Start one: corvid run \"task\"", kUsage);
    if (!found)
      throw RuntimeError("There is no session " + *options.id + "; `corvid sessions` lists them.",
                         kUsage);
    info = *found;
    steps = journal.steps(info.id);
    header = current_header(info, steps);
  } else {
    header.seed = random_seed();
  }
  if (!options.cwd.empty()) header.workspace = options.cwd.string();
  if (header.workspace.empty()) header.workspace = current_folder().string();
  if (::access(header.workspace.c_str(), R_OK | X_OK) != 0) {
    throw RuntimeError("The workspace " + header.workspace + " cannot be used: " +
                           std::strerror(errno) + ". Name another with --cwd DIR.",
                       kUsage);
  }
  if (!options.model.empty()) header.model = options.model;
  if (header.model.empty()) header.model = options.settings.model;
  if (header.model.empty()) header.model = kBuiltinModel;
}

void Agent::Parts::open_model() {
  if (!commons.model && is_url(header.model)) {
    open_remote();
  } else {
    open_local();
  }
}

void Agent::Parts::open_remote() {
  if (!options.chat_format.empty()) {
    throw RuntimeError("--chat-format is for model files; a server knows its own.", kUsage);
  }
  header.model_fingerprint.clear();
  header.chat_format = "chat-completions/1";
  RemoteOptions remote = remote_options(options.settings, header.model);
  dialogue = make_remote_dialogue(commons.io, std::move(remote));
}

void Agent::Parts::open_local() {
  std::shared_ptr<Timeline> timeline;
  EngineThread* engine = nullptr;
  if (commons.model) {
    local = &commons.model->model;
    engine = &commons.model->engine;
    timeline = engine->pooled_timeline(options.owner);
  } else {
    load_own();
    local = &*own_model;
    engine = own_engine.get();
    timeline = engine->new_timeline();
  }
  header.model = local->name == kBuiltinModel ? local->name : fs::canonical(local->name).string();
  header.model_fingerprint = local->engine->fingerprint();
  header.chat_format =
      std::string(local->format->name()) + "/" + std::to_string(local->format->version());
  LocalOptions local_options{.thinking = options.settings.thinking,
                             .sampling = local->sampling,
                             .seed = header.seed + steps.size()};
  const SamplingSettings& sampling = options.settings.sampling;
  if (sampling.temperature) local_options.sampling.temperature = *sampling.temperature;
  if (sampling.top_p) local_options.sampling.top_p = *sampling.top_p;
  if (sampling.min_p) local_options.sampling.min_p = *sampling.min_p;
  dialogue = std::make_unique<LocalDialogue>(*local, *engine, std::move(timeline), local_options);
}

void Agent::Parts::load_own() {
  auto file = open_model_file(header.model);
  model::EngineOptions engine_options;
  engine_options.backend = options.settings.backend;
  engine_options.gpu = options.gpu;
  engine_options.gpu.cache_folder = kernels_folder().string();
  engine_options.on_progress = options.on_loading;
  engine_options.on_notice = options.on_notice;
  own_model = load_local_model(std::move(file), std::move(engine_options), chat_format());
  own_engine = std::make_unique<EngineThread>(own_model->engine);
}

// A session goes on in the format that it began with, as long as its model is the same.
std::string Agent::Parts::chat_format() const {
  if (!options.chat_format.empty() || !options.model.empty()) return options.chat_format;
  return header.chat_format.substr(0, header.chat_format.find('/'));
}

bool Agent::Parts::has_profile() const {
  return local && local->profile;
}

// A model with a profile was trained for its own tools and gets no others.
void Agent::Parts::load_plugins() {
  const std::vector<fs::path> folders = session_plugins(header.workspace);
  std::vector<std::string> problems;
  auto servers = mcp_servers(options.mcp_files, header.workspace, problems);
  if (has_profile()) {
    const bool plugins = !folders.empty() || !project_plugins(header.workspace).empty();
    if (plugins || !servers.empty()) {
      const char* const what = servers.empty() ? "plugins"
                               : plugins       ? "plugins and MCP servers"
                                               : "MCP servers";
      notices.push_back(std::string("This model keeps to its own tools: ") + what +
                        " are not offered to it.");
    }
    return;
  }
  plugins::PluginHost host{commons.io, plugin_state_folder(header.workspace), {}};
  host.notice = [this](std::string_view text) {
    if (events) events->publish(Notice{std::string(text)});
  };
  plugin_set = std::make_unique<plugins::PluginSet>(folders, host);
  plugin_set->add_tools(toolbox);
  notices.insert(notices.end(), problems.begin(), problems.end());
  if (!servers.empty()) {
    toolbox.add(plugins::make_mcp_tool(std::move(servers), {}, host.notice));
  }
  for (const auto& texts : {plugin_notices(*plugin_set), project_notices(header.workspace)}) {
    notices.insert(notices.end(), texts.begin(), texts.end());
  }
}

// What the model is told at the start. A model with a profile gets exactly that.
void Agent::Parts::offer() {
  if (has_profile()) {
    header.system = local->profile->system;
    header.tools = tools_json(local->profile->tools);
    const auto chain = agents_chain(header.workspace, config_folder());
    if (!chain.empty()) {
      notices.push_back("This model keeps to its own instructions: " + chain.back().string() +
                        " is not shown to it.");
    }
    return;
  }
  Instructions instructions = make_instructions(header.workspace, config_folder());
  notices.insert(notices.end(), instructions.notices.begin(), instructions.notices.end());
  header.system = std::move(instructions.system);
  header.tools = tools_json(toolbox.specs());
}

void Agent::Parts::enter_journal() {
  if (!options.id) {
    offer();
    info.id = journal.create(header);
    info.header = header;
  } else if (!same_model(current_header(info, steps), header)) {
    offer();
    memory::Step step = model_step(header);
    step.seq = journal.append(info.id, step);
    steps.push_back(std::move(step));
  }
}

asio::awaitable<bool> Agent::Parts::may_reach(std::string host) {
  tools::Request request{"reach " + host + " over the network", "reach " + host,
                         "--allow-net=" + host};
  const tools::Verdict verdict = co_await approvals.decide(std::move(request));
  co_return verdict.allowed;
}

Agent::Agent(AgentOptions options, Commons& commons)
    : parts_(std::make_unique<Parts>(std::move(options), commons)) {}
Agent::~Agent() = default;

Session& Agent::session() {
  return *parts_->session;
}
EventBus& Agent::events() {
  return *parts_->events;
}
const Dialogue& Agent::dialogue() const {
  return *parts_->dialogue;
}
tools::ToolContext& Agent::tool_context() {
  return *parts_->context;
}
Approvals& Agent::approvals() {
  return parts_->approvals;
}
std::vector<std::string> Agent::jobs() const {
  return parts_->toolbox.find("shell")->background();
}
std::int64_t Agent::steps() const {
  return static_cast<std::int64_t>(parts_->steps.size());
}
const memory::SessionInfo& Agent::info() const {
  return parts_->info;
}

void Agent::begin(EventSink& sink) {
  EventBus& events = *parts_->events;
  events.add(sink);
  events.publish(SessionStarted{parts_->dialogue->description(), parts_->header.workspace,
                                parts_->options.id.has_value()});
  for (const std::string& notice : parts_->notices) events.publish(Notice{notice});
}

}  // namespace corvid::runtime

#include "plugins/lua_machine.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <future>
#include <sstream>

#include "plugins/error.h"
#include "sandbox/offload.h"
#include "tools/approval.h"
#include "tools/lua_files.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::seconds kMaxRunTime{600};
constexpr std::size_t kMaxStateBytes = 1 << 20;
constexpr std::size_t kKeptOutputBytes = 256 * 1024;

sandbox::ProcessSpec process_of(const ordered_json& arguments) {
  if (arguments.size() != 1 || !arguments[0].is_object()) {
    throw std::runtime_error("run takes a table: {argv = {...}} or {command = \"...\"}");
  }
  sandbox::ProcessSpec process;
  for (const auto& [key, value] : arguments[0].items()) {
    if (key == "command" && value.is_string()) {
      process.argv = {"sh", "-c", value.get<std::string>()};
    } else if (key == "argv" && value.is_array()) {
      process.argv = value.get<std::vector<std::string>>();
    } else if (key == "input" && value.is_string()) {
      process.input = value.get<std::string>();
    } else if (key == "timeout" && value.is_number()) {
      const double seconds = std::min<double>(value.get<double>(), kMaxRunTime.count());
      process.deadline = std::chrono::milliseconds(static_cast<int>(seconds * 1000));
    } else {
      throw std::runtime_error("run: `" + key + "` is unknown or of the wrong type; there are " +
                               "argv, command, input, timeout");
    }
  }
  process.head_bytes = process.tail_bytes = kKeptOutputBytes;
  return process;
}

// What the thread that waits and the process on the io thread share.
struct Run {
  std::promise<sandbox::ProcessResult> done;
  asio::cancellation_signal cancel;  // io thread only
};

asio::awaitable<sandbox::ProcessResult> run_if_allowed(sandbox::ProcessSpec process,
                                                       tools::ToolContext& context) {
  const tools::Verdict verdict = co_await tools::may_run(process.argv.back(), context);
  if (!verdict.allowed) throw PluginError("run: " + verdict.why);
  co_return co_await context.sandbox.run(std::move(process));
}

// Starts the process on the io thread and waits for it on this one.
sandbox::ProcessResult run_and_wait(const asio::any_io_executor& io, tools::ToolContext& context,
                                    sandbox::ProcessSpec process, std::stop_token stop) {
  auto run = std::make_shared<Run>();
  std::future<sandbox::ProcessResult> result = run->done.get_future();
  asio::dispatch(io, [io, run, &context, process = std::move(process)]() mutable {
    auto finish = [run](std::exception_ptr failure, sandbox::ProcessResult done) {
      if (failure)
        run->done.set_exception(failure);
      else
        run->done.set_value(std::move(done));
    };
    asio::co_spawn(io, run_if_allowed(std::move(process), context),
                   asio::bind_cancellation_slot(run->cancel.slot(), std::move(finish)));
  });
  const std::stop_callback interrupt(stop, [io, run] {
    asio::dispatch(io, [run] { run->cancel.emit(asio::cancellation_type::terminal); });
  });
  return result.get();
}

}  // namespace

// Holds the machine from the moment it was free to the end of the call.
struct LuaMachine::Turn {
  explicit Turn(LuaMachine& held) : machine(held) { machine.busy_ = true; }
  ~Turn() {
    machine.busy_ = false;
    machine.free_.cancel_one();
  }
  Turn(const Turn&) = delete;
  LuaMachine& machine;
};

LuaMachine::LuaMachine(PluginInfo info, PluginHost host)
    : info_(std::move(info)),
      host_(std::move(host)),
      free_(host_.io, asio::steady_timer::time_point::max()) {
  add_functions();
}

ordered_json LuaMachine::load(std::string_view source) {
  const sandbox::LuaResult result = vm_.run(source, "plugin.lua");
  if (!result.error.empty()) throw PluginError(result.error);
  const ordered_json values = ordered_json::parse(result.values);
  if (values.size() != 1) throw PluginError("plugin.lua must return one table");
  return values[0];
}

tools::ToolContext& LuaMachine::context() const {
  if (context_ == nullptr) throw std::runtime_error("not available while the plugin is loaded");
  return *context_;
}

void LuaMachine::add_functions() {
  const auto files = [this]() -> const sandbox::Files& { return context().files; };
  tools::add_file_functions(vm_, {files, [this] { return stop_; }});
  vm_.add_function("run", [this](const ordered_json& a) { return run(a); });
  vm_.add_function("state.get", [this](const ordered_json& a) { return state_get(a); });
  vm_.add_function("state.set", [this](const ordered_json& a) { return state_set(a); });
  vm_.add_function("log", [this](const ordered_json& a) -> ordered_json {
    if (a.empty() || !a[0].is_string()) throw std::runtime_error("log takes a string");
    const std::string text = info_.name + ": " + a[0].get<std::string>().substr(0, 1000);
    if (host_.notice) {
      asio::dispatch(host_.io, [notice = host_.notice, text] { notice(text); });
    }
    return nullptr;
  });
}

ordered_json LuaMachine::run(const ordered_json& arguments) {
  if (!may_run_) throw std::runtime_error("run: the plugin does not declare needs = {\"run\"}");
  const auto done = run_and_wait(host_.io, context(), process_of(arguments), stop_);
  if (done.interrupted) throw std::runtime_error("interrupted");
  ordered_json result = {{"output", done.output + done.tail}, {"timed_out", done.timed_out}};
  if (done.exit_code) result["exit_code"] = *done.exit_code;
  if (done.signal) result["signal"] = *done.signal;
  result["was_cut"] = !done.tail.empty();
  return result;
}

std::filesystem::path LuaMachine::state_file() const {
  if (host_.state_folder.empty()) throw std::runtime_error("state is not kept here");
  return host_.state_folder / (info_.name + ".json");
}

ordered_json LuaMachine::state_get(const ordered_json& arguments) const {
  std::ifstream file(state_file());
  const ordered_json state = ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || arguments.empty() || !arguments[0].is_string()) return nullptr;
  return state.value(arguments[0].get<std::string>(), ordered_json(nullptr));
}

// Written whole beside the old file, then renamed over it.
ordered_json LuaMachine::state_set(const ordered_json& arguments) {
  if (arguments.size() != 2 || !arguments[0].is_string()) {
    throw std::runtime_error("state.set takes a key and a value");
  }
  const std::filesystem::path path = state_file();
  std::ifstream file(path);
  ordered_json state = ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object()) state = ordered_json::object();
  state[arguments[0].get<std::string>()] = arguments[1];
  const std::string text = state.dump(2);
  if (text.size() > kMaxStateBytes) throw std::runtime_error("state: more than 1 MiB");
  std::filesystem::create_directories(path.parent_path());
  const std::filesystem::path fresh = path.string() + ".new";
  std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
  out << text << '\n';
  out.close();
  if (!out) throw std::runtime_error("state: cannot write " + fresh.string());
  std::filesystem::rename(fresh, path);
  return nullptr;
}

asio::awaitable<sandbox::LuaResult> LuaMachine::call(int function, ordered_json arguments,
                                                     tools::ToolContext& context) {
  while (busy_) {
    boost::system::error_code woken;
    co_await free_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  const Turn turn(*this);
  auto work = [self = shared_from_this(), function, arguments = std::move(arguments),
               lent = &context](std::stop_token stop) {
    self->context_ = lent;
    self->stop_ = stop;
    sandbox::LuaResult result = self->vm_.call(function, arguments, stop);
    self->context_ = nullptr;
    self->stop_ = {};
    return result;
  };
  co_return co_await sandbox::offload(context.pool, std::move(work));
}

}  // namespace corvid::plugins

// `corvid run` and its sisters as a user starts them, against a scripted server or the model
// inside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/local_model.h"
#include "tests/runtime/model_server.h"
#include "tests/scratch_folder.h"

namespace corvid::tests {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

struct Outcome {
  int code = -1;  // -signal when killed
  std::string out, err;
};

class RunCommand : public testing::Test {
 protected:
  RunCommand() { std::filesystem::create_directories(folder / "work"); }

  // Starts the program with its own HOME; stdin is empty.
  pid_t start(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = before;
    words.push_back(CORVID_BINARY);
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string home = "HOME=" + folder.path().string();
    std::vector<std::string> environment = {home, std::string("PATH=") + getenv("PATH"),
                                            "LANG=C.UTF-8"};
    std::vector<char*> envp;
    for (std::string& variable : environment) envp.push_back(variable.data());
    envp.push_back(nullptr);
    const std::string work = (folder / "work").string(), out = (folder / "out").string(),
                      err = (folder / "err").string(), in = (folder / "in").string();
    std::ofstream(in) << input;
    const pid_t child = fork();
    if (child != 0) return child;
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    dup2(open(in.c_str(), O_RDONLY), 0);
    dup2(open(out.c_str(), flags, 0600), 1);
    dup2(open(err.c_str(), flags, 0600), 2);
    if (chdir(work.c_str()) != 0) _exit(126);
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
  }

  Outcome end(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_of("out"),
            text_of("err")};
  }
  Outcome run(const std::vector<std::string>& arguments) { return end(start(arguments)); }

  std::string text_of(const char* name) {
    std::ifstream file(folder / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // The journaled steps of the last session.
  std::vector<json> steps() {
    std::vector<json> found;
    std::istringstream lines(run({"show", "--json"}).out);
    for (std::string line; std::getline(lines, line);) found.push_back(json::parse(line));
    return found;
  }

  ScratchFolder folder;
  std::string input;
  std::vector<std::string> before;  // a command that runs the program
};

std::string shell(const std::string& command) {
  return json{{"command", command}}.dump();
}

// Calls the commands one after the other, then answers.
ModelServer::Script commands_then(std::vector<std::string> commands, std::string answer) {
  return [commands, answer](ServerConnection& connection, const ReceivedRequest&, int n) {
    if (n < static_cast<int>(commands.size())) {
      connection.call("c" + std::to_string(n), "shell", shell(commands[n]), "I look.");
    } else {
      connection.say(answer, "I know.");
    }
  };
}

TEST_F(RunCommand, PrintsTheAnswerOnStdoutAndTheRestOnStderr) {
  ModelServer server(commands_then({"echo hello > file; cat file"}, "It says hello."));
  const Outcome outcome = run({"run", "--model", server.url(), "what does it say?"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "It says hello.\n");
  EXPECT_NE(outcome.err.find("thinking: I look.\n> shell"), std::string::npos) << outcome.err;
  EXPECT_EQ(text_of("work/file"), "hello\n");
  const json last = json::parse(server.posts().back().body);
  EXPECT_EQ(last.at("messages").back().at("content"), "hello\n[exit 0]");
}

TEST_F(RunCommand, EndsThoughTheServerHoldsItsStreamOpen) {
  ModelServer server([](ServerConnection& connection, const ReceivedRequest&, int) {
    connection.start_stream();
    connection.event(content_chunk("hi"));
    connection.event(finish_chunk("stop"));
    connection.event("[DONE]");
    EXPECT_TRUE(connection.closed_within(60s));  // by the program's end
  });
  const Outcome outcome = run({"run", "--model", server.url(), "x"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "hi\n");
}

TEST_F(RunCommand, TheFirstRequestIsSmall) {
  ModelServer server(commands_then({}, "Hi."));
  ASSERT_EQ(run({"run", "--model", server.url(), "hi"}).code, 0);
  const std::string body = server.posts().at(0).body;
  EXPECT_LE(body.size(), 6000u) << body;
  EXPECT_LE(json::parse(body).at("tools").dump().size(), 3000u);
}

TEST_F(RunCommand, ReadsTheTaskFromStdin) {
  ModelServer server(commands_then({}, "Hi."));
  input = "a task\nin two lines\n";
  ASSERT_EQ(run({"run", "--model", server.url(), "-"}).code, 0);
  const json body = json::parse(server.posts().at(0).body);
  EXPECT_EQ(body.at("messages").back().at("content"), "a task\nin two lines");
}

TEST_F(RunCommand, JsonIsOneEventALine) {
  ModelServer server(commands_then({"true"}, "Done."));
  const Outcome outcome = run({"run", "--json", "--model", server.url(), "go"});
  std::istringstream lines(outcome.out);
  std::vector<std::string> types;
  int seq = 0;
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    EXPECT_EQ(event.at("v"), 1);
    EXPECT_EQ(event.at("seq"), ++seq);
    types.push_back(event.at("type"));
  }
  ASSERT_FALSE(types.empty());
  EXPECT_EQ(types.front(), "session_started");
  EXPECT_EQ(types.back(), "turn_finished");
  for (const char* type : {"prompted", "step_finished", "call_started", "call_finished"}) {
    EXPECT_EQ(std::ranges::count(types, type) > 0, true) << type;
  }
}

TEST_F(RunCommand, ExitCodesTellWhatHappened) {
  ModelServer server(commands_then({"true", "echo 1", "echo 2", "echo 3"}, "Done."));
  EXPECT_EQ(run({"run"}).code, 2);
  EXPECT_EQ(run({"run", "--think", "maybe", "x"}).code, 2);
  EXPECT_EQ(run({"run", "--model", "/nowhere.gguf", "x"}).code, 3);
  EXPECT_EQ(run({"run", "--model", "http://127.0.0.1:1/v1", "x"}).code, 3);
  EXPECT_EQ(run({"run", "--model", server.url(), "--max-steps", "2", "x"}).code, 4);
  EXPECT_EQ(run({"show", "nothing"}).code, 2);
}

TEST_F(RunCommand, WithoutATerminalNobodyIsAskedAndTheFlagIsNamed) {
  std::filesystem::create_directory(folder / "beside");
  const auto script = [](ServerConnection& connection, const ReceivedRequest& request, int n) {
    const json arguments = {{"path", "../beside/x"}, {"content", "x"}};
    if (n % 2 == 0) return connection.call("c", "write", arguments.dump());
    connection.say(
        json::parse(request.body).at("messages").back().at("content").get<std::string>());
  };
  ModelServer server(script);
  const std::string beside = std::filesystem::canonical(folder / "beside").string();
  const Outcome refused = run({"run", "--model", server.url(), "go"});
  EXPECT_NE(refused.out.find("Error: ../beside/x is outside the workspace"), std::string::npos);
  EXPECT_NE(refused.out.find("`--writable " + beside + "` on the command line"), std::string::npos)
      << refused.out;
  EXPECT_FALSE(std::filesystem::exists(beside + "/x"));
  const Outcome allowed = run({"run", "--model", server.url(), "--writable", beside, "go"});
  EXPECT_EQ(allowed.out, "Created ../beside/x, 1 bytes.\n") << allowed.err;
  EXPECT_TRUE(std::filesystem::exists(beside + "/x"));
}

TEST_F(RunCommand, AHostThatMayNotBeReachedIsNamedWithItsFlag) {
  ModelServer server(commands_then({"exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT "
                                    "example.com:443 HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"},
                                   "Done."));
  ASSERT_EQ(run({"run", "--model", server.url(), "go"}).code, 0);
  const json body = json::parse(server.posts().back().body);
  const std::string result = body.at("messages").back().at("content").get<std::string>();
  EXPECT_EQ(result.substr(0, 12), "HTTP/1.1 403") << result;
  EXPECT_NE(result.find("`--allow-net=example.com` allows it.]\n[exit 0]"), std::string::npos)
      << result;
}

TEST_F(RunCommand, TheSandboxCanBeSwitchedOffLoudly) {
  ModelServer server(commands_then({"echo x > ../outside"}, "Done."));
  const Outcome outcome = run({"run", "--model", server.url(), "--sandbox", "off", "go"});
  EXPECT_NE(outcome.err.find("The sandbox is OFF"), std::string::npos) << outcome.err;
  EXPECT_EQ(text_of("outside"), "x\n");
}

TEST_F(RunCommand, AHostThatIsNoneIsRefusedAtOnce) {
  for (const char* host : {"*.com", "http://x.org", "a b", "x.org:99999"}) {
    const Outcome outcome = run({"run", std::string("--allow-net=") + host, "go"});
    EXPECT_EQ(outcome.code, 2) << host;
    EXPECT_NE(outcome.err.find("--allow-net takes hosts like"), std::string::npos) << outcome.err;
  }
}

TEST_F(RunCommand, AnEmptyListOfHostsOpensNoNetwork) {
  for (const char* command : {"run", "sandbox"}) {
    const Outcome outcome = run({command, "--allow-net=", "true"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, "corvid: There is no value after `--allow-net=`.\n");
  }
}

TEST_F(RunCommand, CtrlCStopsTheToolAndKeepsTheSession) {
  ModelServer server(commands_then({"touch started; sleep 60"}, "Done."));
  const auto begun = std::chrono::steady_clock::now();
  const pid_t child = start({"run", "--model", server.url(), "go"});
  while (!std::filesystem::exists(folder / "work/started")) std::this_thread::sleep_for(5ms);
  kill(child, SIGINT);
  const Outcome outcome = end(child);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
  const std::vector<json> found = steps();
  ASSERT_EQ(found.size(), 3u);  // prompt, turn, and the one result
  EXPECT_EQ(found[2].at("kind"), "result");
}

TEST_F(RunCommand, CtrlCTwiceLeavesAlthoughTheToolHoldsOn) {
  ModelServer server(commands_then(
      {"trap '' TERM INT; touch started; while :; do date +%N > beat; sleep 0.01; done"}, "Done."));
  const pid_t child = start({"run", "--model", server.url(), "go"});
  while (!std::filesystem::exists(folder / "work/started")) std::this_thread::sleep_for(5ms);
  kill(child, SIGINT);
  std::this_thread::sleep_for(50ms);  // or the two are one
  kill(child, SIGINT);
  const Outcome outcome = end(child);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  const std::string beat = text_of("work/beat");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(text_of("work/beat"), beat);  // nothing runs on
  EXPECT_GE(steps().size(), 2u);          // prompt and turn
}

TEST_F(RunCommand, WorksInTheFolderThatIsNamed) {
  std::filesystem::create_directory(folder / "other");
  ModelServer server(commands_then({"pwd > where"}, "Done."));
  const std::string other = folder / "other";
  ASSERT_EQ(run({"run", "--model", server.url(), "--cwd", other, "go"}).code, 0);
  EXPECT_EQ(text_of("other/where"), other + "\n");
}

TEST_F(RunCommand, AFileWithoutATokenizerIsRefused) {
  const std::string file = CORVID_TEST_MODELS "/tiny-bf16.gguf";
  const Outcome outcome = run({"run", "--model", file, "go"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("carries no tokenizer, so it can only be used by `corvid logits`"),
            std::string::npos)
      << outcome.err;
}

TEST_F(RunCommand, ThinksUnlessToldNotTo) {
  for (const std::string think : {"on", "off"}) {
    const Outcome outcome = run({"run", "--think", think, "How many files are here?"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find("thinking: ") != std::string::npos, think == "on") << outcome.err;
    for (const json& step : steps()) {
      if (step.at("kind") != "turn") continue;
      EXPECT_EQ(step.at("reasoning") == "", think == "off") << step.dump();
    }
  }
}

TEST_F(RunCommand, StatsShowThatEachTokenIsPrefilledOnce) {
  const Outcome outcome = run({"run", "--stats", "How many files are here?"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  struct Counts {
    int prefilled, reused, generated;
  };
  std::vector<Counts> counts;
  std::istringstream lines(outcome.err);
  for (std::string line; std::getline(lines, line);) {
    Counts one;
    if (std::sscanf(line.c_str(), "step %*d prefilled %d reused %d generated %d", &one.prefilled,
                    &one.reused, &one.generated) == 3) {
      counts.push_back(one);
    }
  }
  ASSERT_EQ(counts.size(), 2u) << outcome.err;
  EXPECT_EQ(counts[0].reused, 0);
  EXPECT_GE(counts[1].reused, counts[0].prefilled + counts[0].generated);
  EXPECT_LT(counts[1].prefilled, counts[0].prefilled);
}

TEST_F(RunCommand, SaysInOneLineWhatOfTheSandboxIsMissing) {
  before = {"unshare", "--user", "--map-root-user",
            "sh",      "-c",     "echo 0 > /proc/sys/user/max_mnt_namespaces; exec \"$@\"",
            "sh"};
  const Outcome outcome = run({"run", "How many files are here?"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string line = "The sandbox is weaker than it should be; missing: mount namespace";
  EXPECT_EQ(outcome.err.find(line), 0u) << outcome.err;
  EXPECT_EQ(outcome.err.find("sandbox", line.size()), std::string::npos) << outcome.err;
}

TEST_F(RunCommand, KillLosesOnlyTheRunningStepAndResumeDoesNotRepeatIt) {
  ModelServer server([](ServerConnection& connection, const ReceivedRequest&, int n) {
    if (n == 0) return connection.call("c0", "shell", shell("echo one >> log"));
    if (n == 1) return connection.call("c1", "shell", shell("echo two >> log; sleep 60"));
    connection.say("Resumed.");
  });
  const pid_t child = start({"run", "--model", server.url(), "go"});
  while (text_of("work/log") != "one\ntwo\n") std::this_thread::sleep_for(5ms);
  kill(child, SIGKILL);
  EXPECT_EQ(end(child).code, -SIGKILL);
  ASSERT_EQ(steps().size(), 4u);  // prompt, turn, result, turn

  const Outcome outcome = run({"resume"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "Resumed.\n");
  EXPECT_EQ(text_of("work/log"), "one\ntwo\n");  // not run again
  const json body = json::parse(server.posts().back().body);
  bool told = false;
  for (const json& message : body.at("messages")) {
    told = told || (message.at("role") == "tool" && message.at("tool_call_id") == "c1" &&
                    message.at("content").get<std::string>().find("interrupted, effects unknown") !=
                        std::string::npos);
  }
  EXPECT_TRUE(told) << body.dump(1);
}

TEST_F(RunCommand, ResumeTakesATaskWithoutAnId) {
  ModelServer server(
      [](ServerConnection& connection, const ReceivedRequest&, int) { connection.say("Yes."); });
  ASSERT_EQ(run({"run", "--model", server.url(), "one"}).code, 0);
  ASSERT_EQ(run({"resume", "and two"}).code, 0);
  const json messages = json::parse(server.posts().back().body).at("messages");
  EXPECT_EQ(messages.at(messages.size() - 3).at("content"), "one");
  EXPECT_EQ(messages.back().at("content"), "and two");
}

TEST_F(RunCommand, TheModelInsideIsOfferedExactlyItsProfile) {
  std::ofstream(folder / "work/AGENTS.md") << "Be nice.";
  const std::string task = "How many files are here?";
  const Outcome outcome = run({"run", "--max-steps", "1", task});
  EXPECT_NE(outcome.code, 3) << outcome.err;
  EXPECT_NE(outcome.err.find("AGENTS.md is not shown"), std::string::npos) << outcome.err;

  const auto file = runtime::builtin_model_file();
  const auto profile = runtime::profile_of(*file);
  ASSERT_TRUE(profile);
  const auto tokenizer = model::Tokenizer::load(*file);
  const std::vector<model::Message> messages = {
      {.role = model::Role::system, .content = profile->system},
      {.role = model::Role::user, .content = task}};
  const auto prompt =
      tokenizer->encode(model::ChatFormat::of_model(*file, *tokenizer)
                            ->render(messages, profile->tools, model::Thinking::on));
  const std::vector<json> found = steps();
  ASSERT_GE(found.size(), 2u);
  EXPECT_EQ(found[1].at("usage").at("prefilled"), prompt.size());
  EXPECT_FALSE(found[1].at("tokens").empty());
}

TEST_F(RunCommand, TheModelInsideSaysWhichToolsItIsNotOffered) {
  const auto said = [this] { return run({"run", "--max-steps", "1", "How many files?"}).err; };
  EXPECT_EQ(said().find("keeps to its own tools"), std::string::npos);
  std::ofstream(folder / "work/.mcp.json") << R"({"mcpServers": {"one": {"command": "true"}}})";
  EXPECT_NE(said().find("own tools: MCP servers are not offered"), std::string::npos);
  const auto plugin = folder / ".config/corvid/plugins/say";
  std::filesystem::create_directories(plugin);
  std::ofstream(plugin / "plugin.json") << R"({"name": "say", "description": "Says it.",
      "parameters": {"type": "object"}, "command": ["true"]})";
  EXPECT_NE(said().find("own tools: plugins and MCP servers are not"), std::string::npos);
}

TEST_F(RunCommand, SessionsAreListedWithTheirTitles) {
  ModelServer server(commands_then({}, "Hi."));
  EXPECT_EQ(run({"sessions"}).out, "");
  EXPECT_EQ(run({"show"}).err, "corvid: There is no session yet. Start one: corvid run \"task\"\n");
  run({"run", "--model", server.url(), "first task"});
  run({"run", "--model", server.url(), "second task"});
  const std::string list = run({"sessions"}).out;
  EXPECT_LT(list.find("second task"), list.find("first task"));
  const std::string shown = run({"show", list.substr(0, 8)}).out;
  EXPECT_NE(shown.find("second task"), std::string::npos) << shown;
  EXPECT_NE(shown.find("Hi."), std::string::npos) << shown;
}

}  // namespace
}  // namespace corvid::tests

#include "runtime/event.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "runtime/event_bus.h"

namespace corvid::runtime {
namespace {

using nlohmann::json;

class EventSchema {
 public:
  EventSchema()
      : text_(json::parse(std::ifstream(CORVID_SOURCE_DIR "/runtime/events.schema.json"))) {
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text_), schema_);
  }
  bool accepts(const std::string& line) {
    const json value = json::parse(line);
    valijson::Validator validator;
    return validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter(value), nullptr);
  }
  std::set<std::string> types() const {
    std::set<std::string> found;
    for (const json& one : text_.at("oneOf")) found.insert(one["properties"]["type"]["const"]);
    return found;
  }

 private:
  json text_;
  valijson::Schema schema_;
};

std::vector<EventBody> one_of_each() {
  model::Turn turn{.stop = model::Stop::calls, .reasoning = "hm", .content = "Let me look."};
  turn.calls = {{"c1", "shell", R"({"command": "ls"})"}, {"c2", "shell", "{}", "not JSON"}};
  turn.usage = {10, 20, 30, 4, 0.5, 1.25};
  model::Turn broken{.stop = model::Stop::malformed, .problem = "an unfinished call"};
  return {SessionStarted{"built-in", "/w", false},
          Prompted{"say \"hi\"\n"},
          Progress{"loading", 0.25},
          ReasoningDelta{"a"},
          ContentDelta{"\u00e9"},
          CallDelta{"<"},
          StepFinished{turn},
          StepFinished{broken},
          CallStarted{turn.calls[0]},
          CallOutput{"c1", "x"},
          CallFinished{"shell", {"c1", "x\n[exit 0]", false}},
          TurnFinished{model::Stop::end, "done", 2},
          Settled{100, 20},
          Notice{"hello"},
          ApprovalAsked{"ask_1", "write /etc/x", "--writable /etc"},
          ApprovalAnswered{"ask_1", "once"},
          Failed{"no model", 3}};
}

TEST(Events, EveryOneFitsThePublishedSchema) {
  EventSchema schema;
  std::set<std::string> seen;
  std::uint64_t seq = 0;
  for (const EventBody& body : one_of_each()) {
    const std::string line = to_json({++seq, "abcd", body});
    EXPECT_TRUE(schema.accepts(line)) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos);
    seen.insert(json::parse(line).at("type"));
  }
  EXPECT_EQ(seen.size(), std::variant_size_v<EventBody>);
  EXPECT_EQ(seen, schema.types());
}

TEST(Events, TheSchemaRefusesOtherLines) {
  EventSchema schema;
  EXPECT_FALSE(schema.accepts(R"({"v": 1, "seq": 1, "session": "a", "type": "notice"})"));
  EXPECT_FALSE(
      schema.accepts(R"({"v": 2, "seq": 1, "session": "a", "type": "notice", "text": ""})"));
  EXPECT_FALSE(
      schema.accepts(R"({"v": 1, "seq": 1, "session": "a", "type": "other", "text": ""})"));
}

TEST(Events, StartWithVersionNumberSessionAndType) {
  const std::string line = to_json({7, "abcd", Notice{"x"}});
  EXPECT_EQ(line, R"({"v":1,"seq":7,"session":"abcd","type":"notice","text":"x"})");
}

TEST(Events, ALineComesOutEvenForTextThatIsNotUtf8) {
  const std::string line = to_json({1, "abcd", CallOutput{"c", "\xff\xfe"}});
  EXPECT_EQ(json::parse(line).at("text"), "\ufffd\ufffd");
}

class Recorder : public EventSink {
 public:
  void receive(const Event& event) noexcept override { seen.push_back(event.seq); }
  std::vector<std::uint64_t> seen;
};

TEST(EventBus, NumbersEventsAndReachesEverySink) {
  EventBus bus("s");
  Recorder first, second;
  bus.add(first);
  bus.publish(Notice{"1"});
  bus.add(second);
  bus.publish(Notice{"2"});
  EXPECT_EQ(first.seen, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(second.seen, (std::vector<std::uint64_t>{2}));
}

}  // namespace
}  // namespace corvid::runtime

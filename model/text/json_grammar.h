// Which bytes may come next in a JSON value of a given schema.
//
// Of a schema these are kept: types, enumerated values, the items of arrays, the members of objects
// (only declared ones, none twice, the required ones present). What else it says is for the
// toolbox to check. Values are bounded in depth, white space and length of numbers; strings are
// valid UTF-8 with whole surrogate pairs. JsonGrammar is built first and immutable then; JsonState
// is a plain value. Nothing throws.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace corvid::model {

// A position in a sorted list of texts, one of which is being written.
struct Choice {
  const std::vector<std::string>* texts = nullptr;
  std::uint64_t excluded = 0;        // by index; only the first 64 can be
  std::uint16_t first = 0, end = 0;  // those that begin with what has been written
  std::uint16_t at = 0;              // bytes written

  static Choice of(const std::vector<std::string>& texts, std::uint64_t excluded = 0);
  bool step(std::uint8_t byte);  // false: none of the texts goes on so
  // The text that is complete; another one may still go on.
  std::optional<int> complete() const;
  bool can_go_on() const;
  // The byte that all of them have next.
  std::optional<std::uint8_t> only_byte() const;
  bool operator==(const Choice&) const = default;

 private:
  bool left(int i) const { return i >= 64 || !(excluded >> i & 1); }
};

inline constexpr int kMaxJsonDepth = 12;

struct JsonState {
  enum class Part : std::uint8_t {
    value,      // before its first byte
    string,     // inside a string
    free_key,   // inside the name of a member that may be any
    known_key,  // inside the name of a declared member
    number,
    choice,  // true, false, null or an enumerated value
    colon,   // before the colon
    first,   // behind an opening bracket
    next,    // behind a comma
    after,   // behind an item or member
    done,
  };
  struct Frame {
    std::uint64_t used = 0;  // declared members that are there already
    std::uint16_t schema = 0;
    bool is_object = false;
    bool operator==(const Frame&) const = default;
  };

  Part part = Part::value;
  std::uint8_t depth = 0;
  std::uint8_t spaces = 0;                           // in a row
  std::uint8_t digits = 0;                           // bytes of the number
  std::uint8_t number_part = 0;                      // NumberPart
  std::uint8_t escape = 0;                           // Escape
  std::uint8_t continuation = 0, low = 0, high = 0;  // of a UTF-8 sequence: bytes left, next range
  std::uint8_t matched = 0;                          // of the text that no string may contain
  std::uint16_t schema = 0;                          // of the value
  Choice choice;
  std::array<Frame, kMaxJsonDepth> frames;

  bool operator==(const JsonState&) const = default;
};

class JsonGrammar {
 public:
  // No string will contain `forbidden`, which begins with a byte that it has only once.
  explicit JsonGrammar(std::string_view forbidden);

  enum Types : std::uint8_t {
    kString = 1,
    kInteger = 2,
    kNumber = 4,
    kBoolean = 8,
    kNull = 16,
    kArray = 32,
    kObject = 64,
    kAny = 127,
  };
  struct Node {
    std::uint8_t types = kAny;
    std::vector<std::string> choices;  // enumerated values as JSON, sorted; empty: not enumerated
    std::uint16_t items = 0;           // schema of items, or of members when none is declared
    std::vector<std::string> names;    // declared members as JSON without the opening quote, sorted
    std::vector<std::uint16_t> values;  // their schemas
    std::uint64_t required = 0;         // their bits
  };

  // References are looked up in `root`. Returns the number that stands for the schema; 0: any.
  std::uint16_t add(const nlohmann::ordered_json& schema, const nlohmann::ordered_json& root);
  const Node& node(std::uint16_t schema) const { return nodes_[schema]; }

  JsonState start(std::uint16_t schema) const;
  bool step(JsonState& state, std::uint8_t byte) const;
  // Whether the value may end here, and whether it must.
  bool may_end(const JsonState& state) const;
  bool must_end(const JsonState& state) const { return state.part == JsonState::Part::done; }

 private:
  using Json = nlohmann::ordered_json;

  std::uint16_t add_reference(const std::string& reference, const Json& root);
  void fill(Node& node, const Json& schema, const Json& root);
  void fill_union(Node& node, const Json& alternatives, const Json& root);
  void fill_members(Node& node, const Json& schema, const Json& root);

  bool begin_value(JsonState& s, std::uint16_t schema, std::uint8_t c) const;
  bool open(JsonState& s, bool is_object) const;
  bool close(JsonState& s) const;
  void end_value(JsonState& s) const;
  bool step_item(JsonState& s, std::uint8_t c) const;
  bool step_first(JsonState& s, std::uint8_t c) const;
  bool step_after(JsonState& s, std::uint8_t c) const;
  bool step_known_key(JsonState& s, std::uint8_t c) const;
  bool step_choice(JsonState& s, std::uint8_t c) const;
  bool step_number(JsonState& s, std::uint8_t c) const;
  bool step_string(JsonState& s, std::uint8_t c) const;
  bool step_escape(JsonState& s, std::uint8_t c) const;

  std::string forbidden_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, std::uint16_t> references_;
  int depth_ = 0;  // of add()
};

}  // namespace corvid::model

#include "memory/journal.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "memory/database.h"
#include "memory/error.h"

namespace corvid::memory {
namespace {

// `sessions` is the index (its last three columns follow the steps); `steps` is the record.
constexpr const char* kMigrations[] = {
    R"sql(
    CREATE TABLE sessions (
      number INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      created_ms INTEGER NOT NULL,
      workspace TEXT NOT NULL,
      model TEXT NOT NULL,
      model_fingerprint TEXT NOT NULL,
      chat_format TEXT NOT NULL,
      policy TEXT NOT NULL,
      seed INTEGER NOT NULL,
      system TEXT NOT NULL,
      tools TEXT NOT NULL,
      updated_ms INTEGER NOT NULL,
      steps INTEGER NOT NULL DEFAULT 0,
      title TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX sessions_by_use ON sessions (updated_ms);
    CREATE TABLE steps (
      session INTEGER NOT NULL REFERENCES sessions (number),
      seq INTEGER NOT NULL,
      kind INTEGER NOT NULL,
      at_ms INTEGER NOT NULL,
      json TEXT NOT NULL,
      tokens BLOB NOT NULL,  -- int32, little endian
      PRIMARY KEY (session, seq)
    ) STRICT;
    )sql",
};

constexpr const char* kSelectSession =
    "SELECT id, created_ms, updated_ms, title, steps, workspace, model, model_fingerprint, "
    "chat_format, policy, seed, system, tools FROM sessions ";

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// Eight characters without look-alikes: 40 bits, short enough to type a prefix of.
std::string random_id() {
  static constexpr char kAlphabet[] = "abcdefghjkmnpqrstuvwxyz023456789";
  std::random_device random;
  std::string id;
  for (int i = 0; i < 8; ++i) id += kAlphabet[random() % 32];
  return id;
}

SessionInfo read_session(SQLite::Statement& row) {
  SessionInfo info;
  info.id = row.getColumn(0).getString();
  info.created_ms = row.getColumn(1).getInt64();
  info.updated_ms = row.getColumn(2).getInt64();
  info.title = row.getColumn(3).getString();
  info.steps = row.getColumn(4).getInt();
  info.header.workspace = row.getColumn(5).getString();
  info.header.model = row.getColumn(6).getString();
  info.header.model_fingerprint = row.getColumn(7).getString();
  info.header.chat_format = row.getColumn(8).getString();
  info.header.policy = row.getColumn(9).getString();
  info.header.seed = static_cast<std::uint64_t>(row.getColumn(10).getInt64());
  info.header.system = row.getColumn(11).getString();
  info.header.tools = row.getColumn(12).getString();
  return info;
}

std::string pack(const std::vector<model::Token>& tokens) {
  std::string bytes;
  bytes.reserve(tokens.size() * 4);
  for (const model::Token token : tokens) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(static_cast<std::uint32_t>(token) >> shift & 0xFF);
    }
  }
  return bytes;
}

std::vector<model::Token> unpack(const std::string& bytes) {
  std::vector<model::Token> tokens(bytes.size() / 4);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::uint32_t token = 0;
    for (int k = 3; k >= 0; --k) token = token << 8 | static_cast<unsigned char>(bytes[4 * i + k]);
    tokens[i] = static_cast<model::Token>(token);
  }
  return tokens;
}

std::string first_line(const std::string& json) {
  const std::string text = nlohmann::json::parse(json).at("text");
  return text.substr(0, text.find('\n'));
}

}  // namespace

struct Journal::Parts {
  std::filesystem::path file;
  std::unique_ptr<SQLite::Database> database;

  template <typename F>
  auto guarded(F work) const {
    try {
      return work();
    } catch (const SQLite::Exception& error) {
      throw MemoryError(explain(file, error));
    }
  }
};

Journal::Journal(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Journal::~Journal() = default;

std::unique_ptr<Journal> Journal::open(const std::filesystem::path& file) {
  auto parts = std::make_unique<Parts>();
  parts->file = file;
  parts->database = open_database(file, kMigrations);
  return std::unique_ptr<Journal>(new Journal(std::move(parts)));
}

std::string Journal::create(const SessionHeader& header) {
  return parts_->guarded([&] {
    SQLite::Statement insert(
        *parts_->database,
        "INSERT OR IGNORE INTO sessions (id, created_ms, updated_ms, workspace, model, "
        "model_fingerprint, chat_format, policy, seed, system, tools) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    const std::int64_t now = now_ms();
    for (;;) {  // until the id is a new one
      const std::string id = random_id();
      SQLite::bind(insert, id, now, now, header.workspace, header.model, header.model_fingerprint,
                   header.chat_format, header.policy, static_cast<std::int64_t>(header.seed),
                   header.system, header.tools);
      if (insert.exec() == 1) return id;
      insert.reset();
    }
  });
}

std::int64_t Journal::append(std::string_view session, Step step) {
  return parts_->guarded([&] {
    SQLite::Database& database = *parts_->database;
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement find(database, "SELECT number, steps, title FROM sessions WHERE id = ?");
    find.bind(1, std::string(session));
    if (!find.executeStep()) throw MemoryError("No session " + std::string(session) + ".");
    const std::int64_t number = find.getColumn(0).getInt64();
    const std::int64_t seq = find.getColumn(1).getInt64() + 1;
    std::string title = find.getColumn(2).getString();
    if (step.seq != 0 && step.seq != seq) {
      throw MemoryError("Session " + std::string(session) +
                        " was continued by another process meanwhile; see it with `corvid show " +
                        std::string(session) + "`.");
    }
    if (step.at_ms == 0) step.at_ms = now_ms();
    if (title.empty() && step.kind == Step::Kind::prompt) title = first_line(step.json);

    const std::string tokens = pack(step.tokens);
    SQLite::Statement insert(database, "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)");
    SQLite::bind(insert, number, seq, static_cast<int>(step.kind), step.at_ms, step.json);
    insert.bind(6, tokens.data(), static_cast<int>(tokens.size()));
    insert.exec();
    SQLite::Statement update(
        database, "UPDATE sessions SET steps = ?, updated_ms = ?, title = ? WHERE number = ?");
    SQLite::bind(update, seq, step.at_ms, title, number);
    update.exec();
    transaction.commit();
    return seq;
  });
}

std::vector<SessionInfo> Journal::list(int limit) const {
  return parts_->guarded([&] {
    SQLite::Statement select(
        *parts_->database,
        std::string(kSelectSession) + "ORDER BY updated_ms DESC, number DESC LIMIT ?");
    select.bind(1, limit);
    std::vector<SessionInfo> found;
    while (select.executeStep()) found.push_back(read_session(select));
    return found;
  });
}

std::optional<SessionInfo> Journal::find(std::string_view id) const {
  if (id.empty()) {
    std::vector<SessionInfo> newest = list(1);
    if (newest.empty()) return std::nullopt;
    return std::move(newest.front());
  }
  return parts_->guarded([&]() -> std::optional<SessionInfo> {
    SQLite::Statement select(*parts_->database, std::string(kSelectSession) +
                                                    "WHERE substr(id, 1, length(?1)) = ?1 LIMIT 9");
    select.bind(1, std::string(id));
    std::vector<SessionInfo> found;
    while (select.executeStep()) found.push_back(read_session(select));
    if (found.empty()) return std::nullopt;
    if (found.size() == 1 || found.front().id == id) return std::move(found.front());
    std::string message = "Several sessions start with " + std::string(id) + ":";
    for (const SessionInfo& info : found) message += " " + info.id;
    throw MemoryError(message);
  });
}

std::vector<Step> Journal::steps(std::string_view session) const {
  return parts_->guarded([&] {
    SQLite::Statement select(*parts_->database,
                             "SELECT seq, kind, at_ms, json, tokens FROM steps WHERE session = "
                             "(SELECT number FROM sessions WHERE id = ?) ORDER BY seq");
    select.bind(1, std::string(session));
    std::vector<Step> found;
    while (select.executeStep()) {
      Step step;
      step.seq = select.getColumn(0).getInt64();
      step.kind = static_cast<Step::Kind>(select.getColumn(1).getInt());
      step.at_ms = select.getColumn(2).getInt64();
      step.json = select.getColumn(3).getString();
      step.tokens = unpack(select.getColumn(4).getString());
      found.push_back(std::move(step));
    }
    return found;
  });
}

}  // namespace corvid::memory

#include "memory/database.h"

#include <SQLiteCpp/Transaction.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "memory/error.h"

namespace corvid::memory {
namespace {

constexpr int kBusyTimeoutMs = 10'000;
constexpr std::uintmax_t kLeastSpaceBytes = 256 << 10;  // -wal and -shm begin with less

int version_of(SQLite::Database& database) {
  return database.execAndGet("PRAGMA user_version").getInt();
}

// SQLite gives its -wal and -shm files the permissions of the database.
void create_private(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor >= 0) ::close(descriptor);  // else SQLite says what is wrong
}

void refuse_newer(const std::filesystem::path& file, int found, int known) {
  if (found <= known) return;
  throw MemoryError(file.string() + ": written by a newer Corvid (format " + std::to_string(found) +
                    ", this program knows " + std::to_string(known) +
                    "). It was left untouched; update Corvid to use it.");
}

void migrate(SQLite::Database& database, const std::filesystem::path& file,
             std::span<const char* const> migrations) {
  const int known = static_cast<int>(migrations.size());
  while (version_of(database) < known) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    const int version = version_of(database);  // another process may have been faster
    refuse_newer(file, version, known);
    if (version < known) {
      database.exec(migrations[version]);
      database.exec("PRAGMA user_version = " + std::to_string(version + 1));
    }
    transaction.commit();
  }
}

std::uintmax_t space_bytes(const std::filesystem::path& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  return error ? UINTMAX_MAX : space.available;
}

std::unique_ptr<SQLite::Database> open_to_write(const std::filesystem::path& file,
                                                std::span<const char* const> migrations) {
  auto database =
      std::make_unique<SQLite::Database>(file.string(), SQLite::OPEN_READWRITE, kBusyTimeoutMs);
  refuse_newer(file, version_of(*database), static_cast<int>(migrations.size()));
  database->exec("PRAGMA journal_mode = WAL");
  database->exec("PRAGMA synchronous = FULL");
  database->exec("PRAGMA foreign_keys = ON");
  migrate(*database, file, migrations);
  return database;
}

std::string uri_of(const std::filesystem::path& file) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const unsigned char c : std::filesystem::absolute(file).string()) {
    if (c == '%' || c == '?' || c == '#') {
      uri.append({'%', kDigits[c >> 4], kDigits[c & 15]});
    } else {
      uri += static_cast<char>(c);
    }
  }
  return uri;
}

// Null when that does not work either. Where nothing waits in a -wal file the database is all there
// is, and SQLite is told to make no files for those who write at the same time.
std::unique_ptr<SQLite::Database> open_to_read(const std::filesystem::path& file, int version) {
  try {
    const bool has_wal = std::filesystem::exists(file.string() + "-wal");
    auto database = std::make_unique<SQLite::Database>(
        uri_of(file) + (has_wal ? "" : "?immutable=1"), SQLite::OPEN_READONLY | SQLite::OPEN_URI,
        kBusyTimeoutMs);
    return version_of(*database) == version ? std::move(database) : nullptr;
  } catch (const SQLite::Exception&) {
    return nullptr;
  }
}

bool is_denied(const SQLite::Exception& error) {
  const int code = error.getErrorCode();
  return code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM;
}

}  // namespace

std::unique_ptr<SQLite::Database> open_database(const std::filesystem::path& file,
                                                std::span<const char* const> migrations) {
  create_private(file);
  try {
    return open_to_write(file, migrations);
  } catch (const SQLite::Exception& error) {
    if (is_denied(error)) {
      auto database = open_to_read(file, static_cast<int>(migrations.size()));
      if (database) return database;
    }
    throw MemoryError(explain(file, error));
  }
}

std::string explain(const std::filesystem::path& file, const SQLite::Exception& error) {
  const std::string name = file.string();
  const std::string folder = file.parent_path().string();
  switch (error.getErrorCode()) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return name + " is damaged: " + error.what() +
             ". Move it away to start with a new one (mv '" + name + "' '" + name +
             ".damaged'); `sqlite3 FILE .recover` may save its content.";
    case SQLITE_IOERR:  // also how a full disk shows while the database is opened
      if (space_bytes(folder) > kLeastSpaceBytes) return name + ": " + error.what();
      [[fallthrough]];
    case SQLITE_FULL:
      return "The disk is full, so the session cannot be recorded. Free some space in " + folder +
             " and go on with `corvid resume`.";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return name + " is locked by another process. Try again when that one is done.";
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return name + " cannot be opened for writing: " + error.what() +
             ". Check the permissions of " + folder + ", or name another place in XDG_DATA_HOME.";
    default:
      return name + ": " + error.what();
  }
}

}  // namespace corvid::memory

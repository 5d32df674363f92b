// One SQLite file, opened the same way everywhere: WAL, synchronous=FULL, foreign keys, a busy
// timeout, readable by its owner only.
//
// The schema's version is `PRAGMA user_version`; a migration is one SQL script and one transaction,
// so a crash leaves either version. A file of a newer version is refused untouched. A file that
// cannot be written is opened for reading: what would write to it throws. Synchronous; one thread
// at a time. Throws MemoryError that names the file and says what to do.
#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace corvid::memory {

// migrations[v] leads from version v to v + 1; their number is this program's version.
std::unique_ptr<SQLite::Database> open_database(const std::filesystem::path& file,
                                                std::span<const char* const> migrations);

// What went wrong, in words, with the remedy.
std::string explain(const std::filesystem::path& file, const SQLite::Exception& error);

}  // namespace corvid::memory

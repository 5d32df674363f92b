#include "memory/database.h"

#include <SQLiteCpp/Statement.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "memory/error.h"
#include "tests/scratch_folder.h"

namespace corvid::memory {
namespace {

constexpr const char* kFirst[] = {
    "CREATE TABLE birds (name TEXT); INSERT INTO birds VALUES('rook');"};
constexpr const char* kSecond[] = {
    kFirst[0], "ALTER TABLE birds ADD COLUMN eggs INTEGER; UPDATE birds SET eggs = 4;"};
constexpr const char* kBroken[] = {kFirst[0], "UPDATE birds SET name = 'jay'; SELECT nonsense;"};

std::string message_of(const std::filesystem::path& file, std::span<const char* const> migrations) {
  try {
    open_database(file, migrations);
  } catch (const MemoryError& error) {
    return error.what();
  }
  return "";
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Database, IsDurableAndPrivate) {
  ScratchFolder folder;
  auto database = open_database(folder / "sub/birds.db", kFirst);
  EXPECT_EQ(database->execAndGet("PRAGMA journal_mode").getString(), "wal");
  EXPECT_EQ(database->execAndGet("PRAGMA synchronous").getInt(), 2);  // FULL
  for (const char* name : {"sub/birds.db", "sub/birds.db-wal", "sub/birds.db-shm"}) {
    struct stat status {};
    ASSERT_EQ(stat((folder / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
}

// In namespaces that end with the child, the folder is on a file system that cannot be written: 0
// when `look` holds there, 1 when it does not, 77 without namespaces.
int on_a_read_only_disk(const std::filesystem::path& folder, const std::function<bool()>& look) {
  const pid_t child = fork();
  if (child == 0) {
    const bool made =
        unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
        mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
        mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
    _exit(!made ? 77 : look() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Database, WhatCannotBeWrittenIsRead) {
  ScratchFolder folder;
  open_database(folder / "100% b?rds#.db", kFirst);
  const auto reads = [&](std::span<const char* const> migrations) {
    try {
      auto database = open_database(folder / "100% b?rds#.db", migrations);
      if (database->execAndGet("SELECT name FROM birds").getString() != "rook") return false;
      database->exec("DELETE FROM birds");
      return false;
    } catch (const SQLite::Exception& error) {
      return error.getErrorCode() == SQLITE_READONLY;
    } catch (const MemoryError& error) {
      return migrations.size() == 2 &&
             std::string(error.what()).find("writing") != std::string::npos;
    }
  };
  const int known = on_a_read_only_disk(folder.path(), [&] { return reads(kFirst); });
  if (known == 77) GTEST_SKIP() << "cannot make a namespace";
  EXPECT_EQ(known, 0);
  EXPECT_EQ(on_a_read_only_disk(folder.path(), [&] { return reads(kSecond); }), 0)
      << "an older one";
  const auto writer = open_database(folder / "100% b?rds#.db", kFirst);  // leaves a -wal
  writer->exec("UPDATE birds SET name = 'rook'");
  EXPECT_EQ(on_a_read_only_disk(folder.path(), [&] { return reads(kFirst); }), 0) << "in use";
}

TEST(Database, MigratesAnOlderFileAndKeepsItsRows) {
  ScratchFolder folder;
  open_database(folder / "birds.db", kFirst);
  auto database = open_database(folder / "birds.db", kSecond);
  EXPECT_EQ(database->execAndGet("PRAGMA user_version").getInt(), 2);
  EXPECT_EQ(database->execAndGet("SELECT name FROM birds WHERE eggs = 4").getString(), "rook");
}

TEST(Database, AFailedMigrationChangesNothing) {
  ScratchFolder folder;
  open_database(folder / "birds.db", kFirst);
  EXPECT_NE(message_of(folder / "birds.db", kBroken), "");
  auto database = open_database(folder / "birds.db", kFirst);
  EXPECT_EQ(database->execAndGet("PRAGMA user_version").getInt(), 1);
  EXPECT_EQ(database->execAndGet("SELECT name FROM birds").getString(), "rook");
}

TEST(Database, RefusesANewerFileUntouched) {
  ScratchFolder folder;
  open_database(folder / "birds.db", kSecond);
  const std::string before = bytes_of(folder / "birds.db");
  const std::string message = message_of(folder / "birds.db", kFirst);
  EXPECT_NE(message.find("newer Corvid"), std::string::npos) << message;
  EXPECT_NE(message.find("birds.db"), std::string::npos) << message;
  EXPECT_EQ(bytes_of(folder / "birds.db"), before);
}

TEST(Database, SaysWhenTheFileIsDamaged) {
  ScratchFolder folder;
  std::ofstream(folder / "birds.db") << std::string(8192, 'x');
  const std::string message = message_of(folder / "birds.db", kFirst);
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("mv "), std::string::npos) << message;
  EXPECT_EQ(bytes_of(folder / "birds.db"), std::string(8192, 'x'));
}

TEST(Database, SaysWhenTheFolderCannotBeWritten) {
  const std::string message = message_of("/proc/nowhere/birds.db", kFirst);
  EXPECT_NE(message.find("cannot be opened"), std::string::npos) << message;
}

TEST(Database, SaysWhenTheDiskIsFull) {
  ScratchFolder folder;
  auto database = open_database(folder / "birds.db", kFirst);
  database->exec("PRAGMA max_page_count = 2");
  try {
    database->exec("INSERT INTO birds VALUES (hex(zeroblob(100000)))");
    FAIL() << "the limit did not hold";
  } catch (const SQLite::Exception& error) {
    EXPECT_NE(explain(folder / "birds.db", error).find("disk is full"), std::string::npos);
  }
}

}  // namespace
}  // namespace corvid::memory

#include "memory/database.h"

#include <SQLiteCpp/Statement.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

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

// The json table of a Lua machine, and values on their way between Lua and the host.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "sandbox/lua_state.h"

namespace corvid::sandbox {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxDepth = 64;
constexpr int kMaxValues = 200'000;
constexpr std::size_t kMaxBytes = std::size_t{32} << 20;
constexpr const char* kArrayMark = "corvid.json.array";

// One conversion from Lua, with its limits.
class Reader {
 public:
  Reader(lua_State* lua, Functions functions) : lua_(lua), functions_(functions) {}

  ordered_json read(int index, int depth = 0) {
    if (depth > kMaxDepth) throw std::runtime_error("value is cyclic or nested too deeply");
    if (++values_ > kMaxValues) throw std::runtime_error("value has too many parts");
    index = lua_absindex(lua_, index);
    switch (lua_type(lua_, index)) {
      case LUA_TNIL:
        return nullptr;
      case LUA_TBOOLEAN:
        return lua_toboolean(lua_, index) != 0;
      case LUA_TNUMBER:
        return number(index);
      case LUA_TSTRING:
        return text(index);
      case LUA_TTABLE:
        return table(index, depth);
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua_, index) == nullptr) return nullptr;
        break;
      case LUA_TFUNCTION:
        if (functions_ == Functions::export_) {
          lua_pushvalue(lua_, index);
          return ordered_json{{"$function", luaL_ref(lua_, LUA_REGISTRYINDEX)}};
        }
        break;
    }
    throw std::runtime_error(std::string("a ") + luaL_typename(lua_, index) + " is not a value");
  }

 private:
  ordered_json number(int index) const {
    if (lua_isinteger(lua_, index)) return lua_tointeger(lua_, index);
    const double value = lua_tonumber(lua_, index);
    if (!std::isfinite(value)) throw std::runtime_error("a number is not finite");
    return value;
  }

  std::string text(int index) {
    std::size_t size = 0;
    const char* bytes = lua_tolstring(lua_, index, &size);
    bytes_ += size;
    if (bytes_ > kMaxBytes) throw std::runtime_error("value is too large");
    return std::string(bytes, size);
  }

  bool is_marked_array(int index) const {
    if (!lua_getmetatable(lua_, index)) return false;
    luaL_getmetatable(lua_, kArrayMark);
    const bool marked = lua_rawequal(lua_, -1, -2);
    lua_pop(lua_, 2);
    return marked;
  }

  ordered_json table(int index, int depth) {
    luaL_checkstack(lua_, 8, "value nested too deeply");
    const lua_Unsigned length = lua_rawlen(lua_, index);
    if (length == 0 && !is_marked_array(index)) return object(index, depth);
    ordered_json array = ordered_json::array();
    for (lua_Unsigned i = 1; i <= length; ++i) {
      lua_rawgeti(lua_, index, static_cast<lua_Integer>(i));
      array.push_back(read(-1, depth + 1));
      lua_pop(lua_, 1);
    }
    lua_Unsigned keys = 0;
    for (lua_pushnil(lua_); lua_next(lua_, index); lua_pop(lua_, 1)) ++keys;
    if (keys != length) throw std::runtime_error("a table has list items and other keys");
    return array;
  }

  // Keys sorted, because Lua has no order of its own that would stay.
  ordered_json object(int index, int depth) {
    std::vector<std::pair<std::string, ordered_json>> members;
    for (lua_pushnil(lua_); lua_next(lua_, index); lua_pop(lua_, 1)) {
      if (lua_type(lua_, -2) != LUA_TSTRING) {
        throw std::runtime_error("a table has a key that is neither a string nor a list index");
      }
      std::string key = text(-2);
      members.emplace_back(std::move(key), read(-1, depth + 1));
    }
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    ordered_json object = ordered_json::object();
    for (auto& [key, value] : members) object.push_back({std::move(key), std::move(value)});
    return object;
  }

  lua_State* lua_;
  Functions functions_;
  int values_ = 0;
  std::size_t bytes_ = 0;
};

void push(lua_State* lua, const ordered_json& value, int depth) {
  if (depth > kMaxDepth) throw std::runtime_error("JSON is nested too deeply");
  luaL_checkstack(lua, 8, "JSON is nested too deeply");
  switch (value.type()) {
    case ordered_json::value_t::boolean:
      return lua_pushboolean(lua, value.get<bool>());
    case ordered_json::value_t::number_integer:
      return lua_pushinteger(lua, value.get<std::int64_t>());
    case ordered_json::value_t::number_unsigned:
      if (value.get<std::uint64_t>() <= INT64_MAX) {
        return lua_pushinteger(lua, value.get<std::int64_t>());
      }
      return lua_pushnumber(lua, value.get<double>());
    case ordered_json::value_t::number_float:
      return lua_pushnumber(lua, value.get<double>());
    case ordered_json::value_t::string: {
      const std::string& text = value.get_ref<const std::string&>();
      lua_pushlstring(lua, text.data(), text.size());
      return;
    }
    case ordered_json::value_t::array: {
      lua_createtable(lua, static_cast<int>(value.size()), 0);
      lua_Integer i = 0;
      for (const ordered_json& item : value) {
        push(lua, item, depth + 1);
        lua_rawseti(lua, -2, ++i);
      }
      luaL_setmetatable(lua, kArrayMark);
      return;
    }
    case ordered_json::value_t::object: {
      lua_createtable(lua, 0, static_cast<int>(value.size()));
      for (const auto& [key, member] : value.items()) {
        lua_pushlstring(lua, key.data(), key.size());
        push(lua, member, depth + 1);
        lua_rawset(lua, -3);
      }
      return;
    }
    default:
      return lua_pushlightuserdata(lua, nullptr);  // json.null
  }
}

int encode(lua_State* lua) {
  luaL_checkany(lua, 1);
  const std::string text = to_json(lua, 1, Functions::refuse).dump();  // throws for bad UTF-8
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

int decode(lua_State* lua) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  push(lua, ordered_json::parse(text, text + size), 0);
  return 1;
}

int array(lua_State* lua) {
  if (lua_isnoneornil(lua, 1))
    lua_newtable(lua);
  else
    lua_settop(lua, 1);
  luaL_checktype(lua, -1, LUA_TTABLE);
  luaL_setmetatable(lua, kArrayMark);
  return 1;
}

}  // namespace

ordered_json to_json(lua_State* lua, int index, Functions functions) {
  return Reader(lua, functions).read(index);
}

void push_json(lua_State* lua, const ordered_json& value) {
  push(lua, value, 0);
}

void open_json(lua_State* lua) {
  luaL_newmetatable(lua, kArrayMark);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 1);
  lua_createtable(lua, 0, 4);
  lua_pushcfunction(lua, guarded<encode>);
  lua_setfield(lua, -2, "encode");
  lua_pushcfunction(lua, guarded<decode>);
  lua_setfield(lua, -2, "decode");
  lua_pushcfunction(lua, guarded<array>);
  lua_setfield(lua, -2, "array");
  lua_pushlightuserdata(lua, nullptr);
  lua_setfield(lua, -2, "null");
  lua_setglobal(lua, "json");
}

}  // namespace corvid::sandbox

"""The scripts that count in Redis: one step each, by the server's own clock, with the arithmetic of `buckets`."""

from __future__ import annotations

SERVER_TIME = "local time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)"

# Numbers of Lua are doubles: all that is counted stays below 2**53, and is written without an exponent.
_SHARED = """
local UNIT, DEEPEST = 60000, -6e15
{time}

local function text(number) return string.format('%.0f', number) end

local function month_of(days)
  -- Days of the era, years that begin in March: the leap day is the last of a year, and needs no case of its own.
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local day = shifted - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  return of_year - math.floor((153 * month + 2) / 5)
end

local function began_of(per)
  local seconds = math.floor(now / 1000)
  local days = math.floor(seconds / 86400)
  if per == 'hour' then return math.floor(seconds / 3600) * 3600 end
  if per == 'day' then return days * 86400 end
  if per == 'week' then return math.floor((seconds + 259200) / 604800) * 604800 - 259200 end
  return (days - month_of(days)) * 86400
end

local LENGTHS = {{hour = 3600, day = 86400, week = 604800, month = 2678400}}

local function load(key, scope)
  local held = redis.call('HMGET', key, 'at', 'requests', 'tokens', 'spent', 'began', 'rpm', 'tpm')
  local state = {{at = tonumber(held[1]) or now, requests = tonumber(held[2]), tokens = tonumber(held[3]),
                 spent = tonumber(held[4]) or 0, began = tonumber(held[5]) or 0,
                 rpm = scope.rpm or tonumber(held[6]), tpm = scope.tpm or tonumber(held[7])}}
  local elapsed = math.max(0, now - state.at)
  -- A clock that was put back a little refills nothing twice; one that was put back far is followed.
  if elapsed > 0 or state.at - now > UNIT then state.at = now end
  local function refilled(level, rate)
    if not level then return rate * UNIT end
    return math.min(rate * UNIT, level + elapsed * rate)
  end
  -- A bucket that does not count for this request refills all the same, by the last rate that was asked of it.
  if state.rpm then state.requests = refilled(state.requests, state.rpm) end
  if state.tpm then state.tokens = refilled(state.tokens, state.tpm) end
  if scope.budget then
    local began = began_of(scope.per)
    if began > state.began then state.spent, state.began = 0, began end
  end
  return state
end

local function save(key, scope, state)
  local fields = {{'at', text(state.at), 'spent', text(state.spent), 'began', text(state.began)}}
  for _, name in ipairs({{'requests', 'tokens', 'rpm', 'tpm'}}) do
    if state[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = text(state[name])
    end
  end
  redis.call('HSET', key, unpack(fields))
  -- Until it stands as one that was never asked for; then it may be forgotten.
  local idle = 120000
  if state.tpm and state.tpm > 0 and state.tokens < 0 then idle = idle - state.tokens / state.tpm end
  if state.spent > 0 and state.began > 0 then
    idle = math.max(idle, (state.began + (scope.budget and LENGTHS[scope.per] or 2678400)) * 1000 - now)
  end
  redis.call('PEXPIRE', key, text(math.min(math.ceil(idle), 31536000000)))
end

local function number(index)
  if ARGV[index] == '' then return nil end
  return tonumber(ARGV[index])
end

local function scope_at(index)
  return {{rpm = number(index), tpm = number(index + 1), concurrent = number(index + 2), budget = number(index + 3),
          per = ARGV[index + 4]}}
end
"""

# KEYS: the holder, then for each scope its state and who holds how many of it. ARGV: the holder, its key's beginning,
# tokens, money, then for each scope five numbers. The answer: 1, 0 or -1 (no lease), the time, four numbers a scope.
ADMIT = (
    _SHARED
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return {{-1, text(now)}} end
local tokens, money = tonumber(ARGV[3]), tonumber(ARGV[4])
local scopes, fits = {{}}, 1
for place = 1, (#KEYS - 1) / 2 do
  local scope = scope_at(place * 5)
  scope.key, scope.held = KEYS[place * 2], KEYS[place * 2 + 1]
  scope.state, scope.running = load(scope.key, scope), 0
  if scope.concurrent then
    local held = redis.call('HGETALL', scope.held)
    for index = 1, #held, 2 do
      if redis.call('EXISTS', ARGV[2] .. held[index]) == 1 then
        scope.running = scope.running + tonumber(held[index + 1])
      else
        redis.call('HDEL', scope.held, held[index])
      end
    end
    if scope.running >= scope.concurrent then fits = 0 end
  end
  local state = scope.state
  if scope.rpm and state.requests < UNIT then fits = 0 end
  if scope.tpm and state.tokens < math.min(tokens, scope.tpm) * UNIT then fits = 0 end
  if scope.budget and (state.spent >= scope.budget or state.spent + money > scope.budget) then fits = 0 end
  scopes[place] = scope
end
local answer = {{fits, text(now)}}
for _, scope in ipairs(scopes) do
  local state = scope.state
  if fits == 1 then
    if scope.rpm then state.requests = state.requests - UNIT end
    if scope.tpm then state.tokens = state.tokens - tokens * UNIT end
    if scope.budget then state.spent = state.spent + money end
    save(scope.key, scope, state)
    if scope.concurrent then
      scope.running = scope.running + 1
      redis.call('HINCRBY', scope.held, ARGV[1], 1)
      redis.call('EXPIRE', scope.held, 604800)
    end
  end
  answer[#answer + 1] = scope.rpm and text(state.requests) or ''
  answer[#answer + 1] = scope.tpm and text(state.tokens) or ''
  answer[#answer + 1] = text(scope.running)
  answer[#answer + 1] = text(state.spent)
  answer[#answer + 1] = text(state.began)
end
return answer
"""
)

# KEYS as above, without the holder. ARGV: the holder, tokens, money, whether it ends, then for each scope the period
# that the reserve was taken from, and five numbers.
SETTLE = (
    _SHARED
    + """
local tokens, money = tonumber(ARGV[2]), tonumber(ARGV[3])
for place = 1, #KEYS / 2 do
  local key, held, index = KEYS[place * 2 - 1], KEYS[place * 2], place * 6 - 1
  local began, scope = tonumber(ARGV[index]), scope_at(index + 1)
  local state = load(key, scope)
  if scope.tpm then
    state.tokens = math.max(DEEPEST, math.min(scope.tpm * UNIT, state.tokens - tokens * UNIT))
  end
  if scope.budget and (money > 0 or began == state.began) then state.spent = math.max(0, state.spent + money) end
  save(key, scope, state)
  if ARGV[4] == '1' and scope.concurrent and redis.call('HINCRBY', held, ARGV[1], -1) <= 0 then
    redis.call('HDEL', held, ARGV[1])
  end
end
return 1
"""
)

# KEYS: the holder, the former holder, then who holds how many of each scope. ARGV: the holder, the lease, the counts.
ENTER = """
redis.call('DEL', KEYS[2])
for place = 3, #KEYS do
  redis.call('HSET', KEYS[place], ARGV[1], ARGV[place])
  redis.call('EXPIRE', KEYS[place], 604800)
end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
return 1
"""


def admit_script(time: str = SERVER_TIME) -> str:
    """The script that lets in, by the clock that this piece of Lua reads."""
    return ADMIT.format(time=time)


def settle_script(time: str = SERVER_TIME) -> str:
    """The script that adds what was used."""
    return SETTLE.format(time=time)

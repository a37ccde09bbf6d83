"""The scripts that change keys in Redis: each is one step for all who look, whole or not at all.

What they keep, all under one tag, which puts it into one slot of a cluster:

    schema, database    the version of this layout, and a random name by which another database is told
    revision            the number of the last change
    marks               when each of the last thousand was made
    changes             record ids by the revision of their last change
    record:<id>         a hash for each key, pair and session
    names               the id of the living key of each name
    sessions:<parent>   the living sessions of a key by the time they were made
    logins:<method>:<user>  those without a key
    over                all sessions by the time of their end
    factor:<id>         a second factor: seed, last_step, failures, locked_until, and `code:<hash>` with the time of use
    sealed              by which key something is sealed, for each record and factor
"""

from __future__ import annotations

SCHEMA = "1"
PREFIX = "{llmauth}:"
REVISION = f"{PREFIX}revision"

# Without a flag a script is one that writes: a replica, and a primary that lost its replicas, refuse even those that
# only read, so nobody is judged by what is no longer the truth. A server without memory is read all the same.
_WRITES = "#!lua\n"
_READS = "#!lua flags=allow-oom\n"

_SHARED = """
local P = '{llmauth}:'
local CHANGES, NAMES, OVER, SEALED = P .. 'changes', P .. 'names', P .. 'over', P .. 'sealed'
local found = redis.call('GET', P .. 'schema')
if found ~= '1' then return {'schema', found or ''} end

local function record(id) return P .. 'record:' .. id end
local function factor(id) return P .. 'factor:' .. id end
local function field(id, name) return redis.call('HGET', record(id), name) end
local function lives(id) return field(id, 'id') and not field(id, 'revoked') end

-- Each change is marked: a replica that lost some, and made others of the same number since, is told by that.
local function advance()
  local revision, time = redis.call('INCR', P .. 'revision'), redis.call('TIME')
  redis.call('HSET', P .. 'marks', revision, time[1] .. '.' .. time[2])
  redis.call('HDEL', P .. 'marks', revision - 1000)
  return revision
end

local function changed(id, revision)
  redis.call('HSET', record(id), 'revision', revision)
  redis.call('ZADD', CHANGES, revision, id)
end

local function kin_of(id)
  local of = redis.call('HMGET', record(id), 'parent', 'method', 'user')
  if of[1] then return P .. 'sessions:' .. of[1] end
  return P .. 'logins:' .. (of[2] or '') .. ':' .. of[3]
end

local function forget_factor(id)
  redis.call('DEL', factor(id))
  redis.call('HDEL', SEALED, 'factors:' .. id)
end

local function finish(id, revision, at)
  if not lives(id) then return end
  redis.call('HSET', record(id), 'revoked', at)
  redis.call('HDEL', record(id), 'sealed')
  redis.call('HDEL', SEALED, 'keys:' .. id)
  if field(id, 'kind') == 'session' then
    redis.call('ZREM', kin_of(id), id)
    redis.call('ZADD', OVER, 'LT', at, id)
  elseif redis.call('HGET', NAMES, field(id, 'name')) == id then
    redis.call('HDEL', NAMES, field(id, 'name'))
  end
  changed(id, revision)
end

local function finish_sessions(id, revision, at)
  for _, each in ipairs(redis.call('ZRANGE', P .. 'sessions:' .. id, 0, -1)) do finish(each, revision, at) end
end

local function store(id, revision, from)
  redis.call('HSET', record(id), unpack(ARGV, from))
  if field(id, 'kind') == 'session' then
    redis.call('ZADD', kin_of(id), field(id, 'created'), id)
    redis.call('ZADD', OVER, field(id, 'expires'), id)
  else
    redis.call('HSET', NAMES, field(id, 'name'), id)
  end
  if field(id, 'sealed') then
    redis.call('HSET', SEALED, 'keys:' .. id, string.match(field(id, 'sealed'), '^(.*):'))
  end
  changed(id, revision)
end

-- Whether something is sealed by another key than this one, but for what goes with this change.
local function sealed_by_another(head, going)
  local all = redis.call('HGETALL', SEALED)
  for index = 1, #all, 2 do
    if all[index] ~= going and all[index + 1] ~= head then return true end
  end
  return false
end

local function living(name_or_id)
  local named = redis.call('HGET', NAMES, name_or_id)
  if lives(name_or_id) then
    if named and named ~= name_or_id then return nil, 'several' end
    return name_or_id
  end
  if named then return named end
  return nil, 'none'
end
"""

# ARGV: a name for the database.
MAKE = (
    _WRITES
    + """
local P = '{llmauth}:'
local found = redis.call('GET', P .. 'schema')
if found then return found end
if redis.call('EXISTS', P .. 'revision', P .. 'changes', P .. 'names') > 0 then return '' end
redis.call('MSET', P .. 'revision', '0', P .. 'database', ARGV[1], P .. 'schema', '1')
return '1'
"""
)

# ARGV: a revision. The answer: the database, its revision, the mark of that, and of the one that was asked for.
VERSION = (
    _READS
    + _SHARED
    + """
local revision = redis.call('GET', P .. 'revision')
local marks = redis.call('HMGET', P .. 'marks', revision, ARGV[1])
return {'done', redis.call('GET', P .. 'database') or '', revision, marks[1] or '', marks[2] or ''}
"""
)

# ARGV: after which revision, how many at least. The answer: the revision, up to which one these are all, the records.
CHANGED = (
    _READS
    + _SHARED
    + """
local told, upto = {}, redis.call('GET', P .. 'revision')
local some = redis.call('ZRANGE', CHANGES, '(' .. ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2])
if #some == tonumber(ARGV[2]) then
  upto = redis.call('ZSCORE', CHANGES, some[#some])
  some = redis.call('ZRANGE', CHANGES, '(' .. ARGV[1], upto, 'BYSCORE')
end
for place, id in ipairs(some) do told[place] = redis.call('HGETALL', record(id)) end
return {'done', redis.call('GET', P .. 'revision'), upto, told}
"""
)

# ARGV: a name or an id. The answer: the record, its seed, and by which keys what is sealed.
FIND = (
    _READS
    + _SHARED
    + """
local id, why = living(ARGV[1])
if not id then return {why} end
return {'done', redis.call('HGETALL', record(id)), redis.call('HGET', factor(id), 'seed') or '',
        redis.call('HGETALL', SEALED)}
"""
)

HEADS = _READS + _SHARED + "return {'done', redis.call('HVALS', SEALED)}"

# ARGV: the id, the name, the head of what is sealed or nothing, then the fields.
ISSUE = (
    _WRITES
    + _SHARED
    + """
local taken = redis.call('HGET', NAMES, ARGV[2])
if taken then return {'taken', redis.call('HGETALL', record(taken))} end
if ARGV[3] ~= '' and sealed_by_another(ARGV[3], '') then return {'changed'} end
store(ARGV[1], advance(), 4)
return {'done'}
"""
)

# ARGV: a name or an id, the time.
REVOKE = (
    _WRITES
    + _SHARED
    + """
local id, why = living(ARGV[1])
if not id then return {why} end
local revision = advance()
finish(id, revision, ARGV[2])
finish_sessions(id, revision, ARGV[2])
forget_factor(id)
return {'done', redis.call('HGETALL', record(id))}
"""
)

# ARGV: the old id, its revision and seed as they were read, the time, the new id, the head of what is sealed or
# nothing, the seed sealed for the new id or nothing, then the fields.
ROTATE = (
    _WRITES
    + _SHARED
    + """
local old, new = ARGV[1], ARGV[5]
local as_read = lives(old) and field(old, 'revision') == ARGV[2]
if not as_read or (redis.call('HGET', factor(old), 'seed') or '') ~= ARGV[3] then return {'changed'} end
if ARGV[6] ~= '' and sealed_by_another(ARGV[6], 'keys:' .. old) then return {'changed'} end
local revision = advance()
finish(old, revision, ARGV[4])
finish_sessions(old, revision, ARGV[4])
if ARGV[7] ~= '' then
  redis.call('RENAME', factor(old), factor(new))
  redis.call('HSET', factor(new), 'seed', ARGV[7])
  redis.call('HDEL', SEALED, 'factors:' .. old)
  redis.call('HSET', SEALED, 'factors:' .. new, string.match(ARGV[7], '^(.*):'))
end
store(new, revision, 8)
return {'done'}
"""
)

# ARGV: the id, its revision as it was read, the time, the head of the seal, the sealed seed, then the hashes of codes.
ENROL = (
    _WRITES
    + _SHARED
    + """
local id = ARGV[1]
if not lives(id) or field(id, 'revision') ~= ARGV[2] then return {'changed'} end
if sealed_by_another(ARGV[4], 'factors:' .. id) then return {'changed'} end
local revision = advance()
forget_factor(id)
redis.call('HSET', factor(id), 'seed', ARGV[5], 'last_step', '0', 'failures', '0')
for place = 6, #ARGV do redis.call('HSET', factor(id), 'code:' .. ARGV[place], '') end
redis.call('HSET', SEALED, 'factors:' .. id, ARGV[4])
finish_sessions(id, revision, ARGV[3])
redis.call('HSET', record(id), 'enrolled', ARGV[3])
changed(id, revision)
return {'done'}
"""
)

# ARGV: the id.
FACTOR = (
    _READS
    + _SHARED
    + """
local its = redis.call('HMGET', factor(ARGV[1]), 'seed', 'locked_until')
return {'done', its[1] or '', its[2] or ''}
"""
)

# ARGV: the id, the seed as it was read, the time, the hash of a backup code or nothing, how many steps match, those in
# order, then until when it is locked after one failure, two, and so on; nothing where it is not.
PROVE = (
    _WRITES
    + _SHARED
    + """
local key, at = factor(ARGV[1]), ARGV[3]
local its = redis.call('HMGET', key, 'seed', 'last_step', 'failures', 'locked_until')
if its[1] ~= ARGV[2] then return {'changed'} end
if its[4] and tonumber(its[4]) > tonumber(at) then return {'locked', its[4]} end

local function accepted(name, value)
  redis.call('HSET', key, name, value, 'failures', '0')
  redis.call('HDEL', key, 'locked_until')
  return {'accepted'}
end

local first = 6 + tonumber(ARGV[5])
for place = 6, first - 1 do
  if tonumber(ARGV[place]) > tonumber(its[2]) then return accepted('last_step', ARGV[place]) end
end
if first > 6 then return {'wrong'} end
if ARGV[4] ~= '' then
  local used = redis.call('HGET', key, 'code:' .. ARGV[4])
  if used == '' then return accepted('code:' .. ARGV[4], at) end
  if used then return {'wrong'} end
end
local failures = redis.call('HINCRBY', key, 'failures', 1)
local lock = ARGV[first - 1 + math.min(failures, #ARGV - first + 1)]
if lock ~= '' then redis.call('HSET', key, 'locked_until', lock) end
return {'wrong'}
"""
)

# ARGV: the id, its key or nothing, the time, how many may live, then the fields. The answer: when it ends.
OPEN = (
    _WRITES
    + _SHARED
    + """
local id, parent, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ends
if parent ~= '' then
  ends = field(parent, 'expires')
  if not lives(parent) or field(parent, 'kind') == 'session' or (ends and tonumber(ends) <= now) then
    return {'ended'}
  end
end
local revision = advance()
store(id, revision, 5)
if ends and tonumber(ends) < tonumber(field(id, 'expires')) then
  redis.call('HSET', record(id), 'expires', ends)
  redis.call('ZADD', OVER, ends, id)
end
local room = tonumber(ARGV[4]) - 1
for _, each in ipairs(redis.call('ZRANGE', kin_of(id), 0, -1, 'REV')) do
  if each ~= id and tonumber(field(each, 'expires')) > now then
    room = room - 1
    if room < 0 then finish(each, revision, ARGV[3]) end
  end
end
return {'done', field(id, 'expires')}
"""
)

# ARGV: the id, the time.
CLOSE = (
    _WRITES
    + _SHARED
    + """
if not lives(ARGV[1]) or field(ARGV[1], 'kind') ~= 'session' then return {'none'} end
finish(ARGV[1], advance(), ARGV[2])
return {'done'}
"""
)

# ARGV: before which time they ended, how many at most.
FORGET = (
    _WRITES
    + _SHARED
    + """
local gone = redis.call('ZRANGE', OVER, '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(gone) do
  if field(id, 'id') then redis.call('ZREM', kin_of(id), id) end
  redis.call('DEL', record(id))
  redis.call('ZREM', CHANGES, id)
  redis.call('ZREM', OVER, id)
end
return {'done', #gone}
"""
)

# ARGV: ids and times in turn.
TOUCH = (
    _WRITES
    + _SHARED
    + """
for place = 1, #ARGV, 2 do
  local id, at = ARGV[place], ARGV[place + 1]
  local before = field(id, 'last_used')
  if field(id, 'id') and (not before or tonumber(before) < tonumber(at)) then
    redis.call('HSET', record(id), 'last_used', at)
  end
end
return {'done'}
"""
)

-- wrk script: PUT of a value of 256 bytes to one of 10,000 keys.  The environment variable TARGET
-- chooses the dialect: holdfast or etcd (its JSON gateway).
local value = string.rep("v", 256)
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
   local out = {}
   for i = 1, #text, 3 do
      local a, b, c = text:byte(i, i + 2)
      local n = a * 65536 + (b or 0) * 256 + (c or 0)
      local function at(shift) local k = math.floor(n / shift) % 64 + 1 return alphabet:sub(k, k) end
      out[#out + 1] = at(262144) .. at(4096) .. (b and at(64) or "=") .. (c and at(1) or "=")
   end
   return table.concat(out)
end

local etcd = os.getenv("TARGET") == "etcd"
local encoded = base64(value)

function init(args)
   math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 1000000)
end

local function key() return string.format("bench-%05d", math.random(0, 9999)) end

if etcd then
   request = function()
      return wrk.format("POST", "/v3/kv/put", { ["Content-Type"] = "application/json" },
                        '{"key":"' .. base64(key()) .. '","value":"' .. encoded .. '"}')
   end
else
   request = function()
      return wrk.format("PUT", "/kv/" .. key(), { ["Content-Type"] = "application/json" },
                        '{"value":"' .. value .. '"}')
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      "RESULT rate=%.1f p50_us=%d p90_us=%d p99_us=%d max_us=%d requests=%d errors=%d\n",
      summary.requests / (summary.duration / 1e6), latency:percentile(50), latency:percentile(90),
      latency:percentile(99), latency.max, summary.requests,
      e.connect + e.read + e.write + e.status + e.timeout))
end

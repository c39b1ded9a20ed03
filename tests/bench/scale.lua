-- wrk script: PUT of a value of 256 bytes to one of KEYS keys (environment) of make_state.c.
local body = '{"value":"' .. string.rep("w", 256) .. '"}'
local headers = { ["Content-Type"] = "application/json" }
local last = tonumber(os.getenv("KEYS")) - 1

function init(args)
   math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 1000000)
end

request = function()
   return wrk.format("PUT", string.format("/kv/key-%08d", math.random(0, last)), headers, body)
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      "RESULT rate=%.1f p50_us=%d p99_us=%d p999_us=%d max_us=%d requests=%d errors=%d\n",
      summary.requests / (summary.duration / 1e6), latency:percentile(50), latency:percentile(99),
      latency:percentile(99.9), latency.max, summary.requests,
      e.connect + e.read + e.write + e.status + e.timeout))
end

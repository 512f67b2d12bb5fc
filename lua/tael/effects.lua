--- Everything that a merchant's script may ask the host to do, described once. From this table come the
--- stubs in the isolates, the checks of arguments and places, the annotations for editors
--- (lua/tael/meta/effects.lua) and the reference (scripts/EFFECTS.md).
--- What the world says is a second result {code, message, retriable?, …}; what is wrong with the call itself
--- is raised where the script called.
local effects = {}

---@class tael.Effect
---@field name string "http.get"
---@field about string
---@field args tael.EffectArg[]
---@field gives { type: string, about: string, may_fail: boolean? }[] may_fail: else nil and an error
---@field where table<"route"|"job", true> in which kinds of files
---@field errors string? codes of its own
---@field note string? more for the reference

---@class tael.EffectArg
---@field name string
---@field type "integer"|"text"|"value"|"payment"|"table" payment: one, or its id
---@field about string
---@field optional boolean?
---@field fields table<string, table>? of a table, as those of tael.api.validate
---@field map boolean? a table of texts by name
---@field from string? module and member that hold the fields: "tael.api.payments.create_schema"
---@field class string? what the annotations call it
---@field needed string? a field that scripts must give, though others who call the API need not

---@type tael.Effect[]
effects.list = {}

local ANYWHERE = { route = true, job = true }

local function add(name, about, args, gives, more)
    local effect = more or {}
    effect.name, effect.about, effect.args, effect.gives, effect.where = name, about, args, gives, ANYWHERE
    effects.list[#effects.list + 1] = effect
end

local function arg(name, kind, about, more)
    local made = more or {}
    made.name, made.type, made.about = name, kind, about
    return made
end

local function optional(name, kind, about, more)
    local made = arg(name, kind, about, more)
    made.optional = true
    return made
end

-- ---- payments ----

local PAYMENT = arg("payment", "payment", "a payment, or its id")

add("charge", "Creates a payment, or finds the one that the same order made before.", {
    arg("order", "table", "the fields of POST /v1/payments",
        { from = "tael.api.payments.create_schema", class = "tael.ChargeInput" }),
}, { { type = "tael.Payment", about = "as the API shows it, null members absent", may_fail = true } }, {
    errors = "merchant_order_id_taken invalid_field currency_not_supported amount_out_of_range "
        .. "product_not_supported no_channel_available channel_refused_configuration declined denied_by_rule "
        .. "limit_exceeded store_unavailable overloaded",
    note = "merchant_order_id is the key: the same order again gives the same payment and charges nothing. "
        .. "The merchant's rules are asked as for the API.",
})
add("get", "One payment of this merchant.", { arg("id", "text", "\"pay_…\"") },
    { { type = "tael.Payment", about = "", may_fail = true } }, { errors = "not_found store_unavailable" })
add("find", "The payment of an order.", { arg("merchant_order_id", "text", "the merchant's own number") },
    { { type = "tael.Payment", about = "", may_fail = true } }, { errors = "not_found store_unavailable" })
add("close", "Closes a payment that nobody has paid.", { PAYMENT },
    { { type = "true", about = "it is closed for certain", may_fail = true } }, {
        errors = "paid unknown not_found state_conflict store_unavailable",
        note = "paid: money came first. unknown: only the channel knows yet, and it goes on by itself.",
    })
add("query", "Asks the channel now, at most once a second for an order.", { PAYMENT },
    { { type = "tael.Payment", about = "as it is then", may_fail = true } },
    { errors = "not_found no_channel_available store_unavailable" })
add("refund", "Gives money back.", {
    PAYMENT,
    arg("options", "table", "the fields of POST /v1/payments/{id}/refunds; merchant_refund_id is needed",
        { from = "tael.api.refunds.create_schema", class = "tael.RefundInput",
            needed = "merchant_refund_id" }),
}, { { type = "tael.Refund", about = "as the API shows it", may_fail = true } }, {
    errors = "merchant_refund_id_taken payment_not_refundable refund_exceeds_captured amount_out_of_range "
        .. "not_implemented_by_channel not_found store_unavailable",
    note = "merchant_refund_id is the key: the same refund again gives the same one. Without amount: all "
        .. "that is refundable.",
})
add("review", "Puts a payment that is not paid yet before a person.", {
    PAYMENT, arg("reason", "text", "for the person, at most 500 bytes"),
}, { { type = "true", about = "it is under review", may_fail = true } }, {
    errors = "not_found state_conflict store_unavailable",
})

-- ---- others ----

local OPTIONS = {
    json = { type = "any" }, form = { type = "map", value = { type = "string" } },
    body = { type = "string", bytes_allowed = true }, headers = { type = "map", value = { type = "string" } },
    query = { type = "map", value = { type = "string" } }, timeout = { type = "string" },
}
local HTTP_NOTE = "Only hosts that the operator has listed for this merchant (merchants.<slug>.hosts), by "
    .. "https, at public addresses; redirects are not followed; the answer has at most 256 KiB. Options: at "
    .. "most one of json, form and body; headers, query; timeout such as \"5s\". json of the answer has no "
    .. "null members."

for _, method in ipairs { "get", "post", "put", "patch", "delete" } do
    add("http." .. method, "Asks another server: " .. method:upper() .. ".", {
        arg("url", "text", "https://…"),
        optional("options", "table", "what is sent", { fields = OPTIONS, class = "tael.HttpOptions" }),
    }, { { type = "tael.Response", about = "status, headers, body, json", may_fail = true } }, {
        errors = "host_not_allowed http_status timeout network too_large", note = HTTP_NOTE,
    })
end

-- ---- secrets ----

add("crypto.sha256", "The SHA-256 of a text.", { arg("text", "text", "bytes") },
    { { type = "string", about = "64 hexadecimal digits" } })
add("crypto.hmac_sha256", "The HMAC-SHA-256 of a text under a secret, which no script ever sees.", {
    arg("secret", "text", "its name in merchants.<slug>.secrets"), arg("text", "text", "bytes"),
}, { { type = "string", about = "64 hexadecimal digits" } })
add("crypto.equal", "Are two texts the same? Takes equally long wherever they differ.", {
    arg("one", "text", ""), arg("other", "text", ""),
}, { { type = "boolean", about = "" } })

-- ---- small state, counters ----

add("state.get", "What was kept under a key.", { arg("key", "text", "at most 128 bytes") }, {
    { type = "any", about = "nil: nothing", may_fail = true },
    { type = "integer", about = "its version; 0: there is none; an error: nobody knows" },
}, { errors = "store_unavailable overloaded",
    note = "nil with an error in place of the version: it could not be read, and may be there." })
add("state.put", "Keeps a value under a key; nil removes it.", {
    arg("key", "text", "at most 128 bytes"),
    optional("value", "value", "at most 4 KiB as JSON"),
    optional("version", "integer", "that it must have now; 0: that there is none"),
}, { { type = "integer", about = "the new version; 0: removed", may_fail = true } }, {
    errors = "conflict limit_exceeded store_unavailable overloaded",
    note = "conflict: somebody else was first; read it again. A merchant has at most 10,000 keys.",
})
add("metric", "Adds to a counter of this merchant's, which /metrics shows as tael_script_total.", {
    arg("name", "text", "a word"), arg("value", "integer", "0 or more"),
    optional("labels", "table", "at most 4 short texts by name", { class = "table<string, string>",
        map = true }),
}, { { type = "true", about = "", may_fail = true } }, {
    errors = "limit_exceeded", note = "A merchant has at most 200 counters on a worker.",
})

-- ---- time and chance ----

add("now", "The time, in ms since 1970 UTC.", {}, { { type = "integer", about = "ms" } })
add("date", "A moment as people write it.", {
    arg("format", "text", "%Y %m %d %H %M %S %F (date) %T (time) %z (zone) %%"),
    optional("ms", "integer", "since 1970 UTC; without it now"),
    optional("zone", "text", "\"UTC\", which holds without it, or an offset such as \"+08:00\""),
}, { { type = "string", about = "" } })
add("random", "A number by chance, each from the first to the last equally likely.", {
    arg("first", "integer", "the least"), arg("last", "integer", "the greatest"),
}, { { type = "integer", about = "from first to last" } })
add("id", "A text that nobody has had before: 26 characters, by time, then by chance.", {
    optional("prefix", "text", "in front of it, with '_' between: at most 16 small letters and digits"),
}, { { type = "string", about = "such as cart_01k…" } })

-- ---- telling people ----

local LOG_NOTE = "20 lines in a call, of more only their number is told; fields are texts, numbers and "
    .. "booleans, at most 16."

for _, level in ipairs { "info", "warn", "error" } do
    add("log." .. level, "Writes a line of the engine's log, as script." .. level .. " of this merchant.", {
        arg("message", "text", "at most 1000 bytes"),
        optional("fields", "table", "what belongs to it, by name"),
    }, {}, { note = LOG_NOTE })
end

-- ---- what is made of the table ----

---@type table<string, tael.Effect>
effects.by_name = {}
local names = {}
for _, effect in ipairs(effects.list) do
    effects.by_name[effect.name] = effect
    names[#names + 1] = effect.name
end

--- For isolates: the names, with blanks between.
effects.names = table.concat(names, " ")

return effects

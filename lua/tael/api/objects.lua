--- The objects that the API answers with, as JSON Schema (2020-12, the dialect of OpenAPI 3.1): every field
--- with its type, whether it may be null, its unit. A field that is not named optional is always there.
local json = require "tael.json"

local objects = {}

-- ---- parts ----

local function with(schema, doc)
    schema.description = doc
    return schema
end

local function text(doc)
    return with({ type = "string" }, doc)
end

local function integer(doc)
    return with({ type = "integer", format = "int64" }, doc)
end

local function boolean(doc)
    return with({ type = "boolean" }, doc)
end

local function moment(doc)
    return with({ type = "string", format = "date-time" }, doc .. "; RFC 3339, UTC, milliseconds")
end

local function id(prefix, doc)
    return with({ type = "string", pattern = "^" .. prefix .. "_[0-9A-HJKMNP-TV-Z]{26}$" }, doc)
end

local function enum(doc, words)
    local list = json.array {}
    for word in words:gmatch("%S+") do
        list[#list + 1] = word
    end
    return with({ type = "string", enum = list }, doc)
end

local function one(word)
    return { type = "string", const = word }
end

--- The same, or null.
local function nullable(schema)
    if schema["$ref"] or schema.oneOf then
        return { anyOf = json.array { schema, { type = "null" } }, description = schema.description }
    end
    local out = {}
    for name, value in pairs(schema) do
        out[name] = value
    end
    out.type = json.array { schema.type, "null" }
    if schema.enum then
        out.enum = json.array { table.unpack(schema.enum) }
        out.enum[#out.enum + 1] = json.null
    end
    return out
end

---@param name string of an object here
function objects.ref(name)
    return { ["$ref"] = "#/components/schemas/" .. name }
end

local function list_of(items, doc)
    return with({ type = "array", items = items }, doc)
end

--- optional: names of fields that are not always there.
local function object(doc, fields, optional)
    local required, may_lack = json.array {}, {}
    for name in (optional or ""):gmatch("%S+") do
        may_lack[name] = true
    end
    for name in pairs(fields) do
        required[#required + 1] = not may_lack[name] and name or nil
    end
    table.sort(required)
    return with({ type = "object", properties = fields, required = required }, doc)
end

local function map(doc, values)
    return with({ type = "object", additionalProperties = values }, doc)
end

--- What every object of a merchant carries, with its own fields.
local function resource(kind, prefix, doc, fields, optional)
    fields.id, fields.object = id(prefix, "names this " .. kind), one(kind)
    fields.merchant, fields.livemode = text "slug of the merchant", boolean "real money"
    fields.created_at, fields.updated_at = moment "when it was made", moment "when it last changed"
    fields.version = integer "grows by one with each change"
    fields.metadata = map("the merchant's own texts by name", { type = "string" })
    return object(doc, fields, optional)
end

local amount_unit = ", in minor units of currency (fen, cents)"
local currency = with({ type = "string", pattern = "^[A-Z]{3}$" }, "ISO 4217")
local ref = objects.ref
local schemas = {}
objects.schemas = schemas

-- ---- what the payer's side does next ----

local function action(kind, doc, fields, optional)
    fields.type = one(kind)
    return object(doc, fields, optional)
end

schemas.next_action = with({
    oneOf = json.array {
        action("redirect", "navigate to url", { method = one "GET", url = text "where to" }),
        action("form", "POST the fields to url", {
            method = one "POST", url = text "where to", charset = text "of the form",
            fields = map("fields by name", { type = "string" }), page_url = text "a page that does it",
        }, "page_url"),
        action("qr_code", "draw code_url as a QR code, or show svg_url", {
            code_url = text "what the code holds", expires_at = moment "until when it can be paid",
            svg_url = text "the code as an image",
        }),
        action("app", "hand to the wallet's phone SDK", {
            sdk = text "which one", order_string = text "its argument", params = map("its arguments", {}),
        }, "order_string params"),
        action("jsapi", "call the wallet's JavaScript bridge", {
            bridge = text "its object", params = map("its arguments", {}),
        }),
        action("mini_program", "call the mini program API", {
            api = text "which function", params = map("its arguments", {}),
        }),
        action("wait", "show \"processing\", ask again later", {
            poll_after_ms = integer "milliseconds until the next question",
            hint = enum("why", "payer_password processing unknown"),
        }),
    },
}, "what the payer, or the page that serves the payer, does next")

-- ---- payments ----

local failure = object("why it failed", {
    code = enum("declined; abnormal: a person is needed", "declined abnormal"),
    decline_code = nullable(text "why, in one vocabulary for all channels"),
    channel_code = nullable(text "why, in the channel's own words"), message = text "for people",
})

schemas.payment = resource("payment", "pay", "What a merchant is to be paid, once.", {
    merchant_order_id = text "the merchant's own number, unique for ever",
    state = enum("where it stands", "created pending authorized paid closed failed review"),
    reason = nullable(text "why it is closed, failed or under review"),
    late = boolean "the money came after it was closed or had failed",
    closing = boolean "somebody wants it closed and the channel has not confirmed it yet",
    amount = integer("asked for" .. amount_unit), currency = currency,
    captured_amount = integer("received" .. amount_unit),
    refunded_amount = integer("given back" .. amount_unit),
    refundable_amount = integer("can still be given back" .. amount_unit),
    authorized_amount = integer("held at the payer's account" .. amount_unit),
    fee = nullable(integer("what the merchant's rule asks for it; changes no amount" .. amount_unit)),
    risk = nullable(object("what the merchant's rule said of it when it was made", {
        by = enum("default: the rule failed", "rule default"),
        risk = enum("what it said", "allow review deny"),
        reason = nullable(text "why"), generation = nullable(text "of the scripts"),
    })),
    capture = enum("when the money is taken", "automatic manual"),
    parallel = enum("may another attempt begin beside an open one", "none refund_surplus"),
    subject = text "shown to the payer", description = nullable(text "longer text"),
    channel = nullable(text "of the newest attempt"), account = nullable(text "channel account, a slug"),
    product = nullable(text "way of paying, such as page or qr"),
    attempt = nullable(id("att", "the newest attempt")),
    next_action = nullable(ref "next_action"), failure = nullable(failure),
    payer = nullable(object("who pays, masked", {
        id_hint = nullable(text "some characters of the payer's id at the channel"),
        client_ip = nullable(text "network of the payer's address: 24 bits of IPv4, 48 of IPv6"),
    })),
    return_url = nullable(text "where the payer comes back to"),
    expires_at = moment "when the order ends", paid_at = nullable(moment "when the channel took the money"),
    closed_at = nullable(moment "when it was closed"), flow = nullable(text "reserved"),
    generation = nullable(text "reserved"),
    attempts = list_of(ref "attempt", "with expand=attempts: newest first"),
    refunds = list_of(ref "refund", "with expand=refunds: newest first, at most 100"),
    events = list_of(ref "event", "with expand=events: newest first, at most 100"),
    notifications = list_of(ref "notification", "with expand=notifications: newest first, at most 100"),
}, "attempts refunds events notifications")

schemas.call = object("One request to the channel.", {
    id = id("cal", "names this call"), op = text "create, query, close, cancel, refund, refund_query",
    class = nullable(enum("what came of it; null: on its way", "ok pending declined config abnormal conflict "
        .. "not_found unknown not_sent")),
    http_status = nullable(integer "of the channel's answer"), code = nullable(text "the channel's code"),
    trace_no = nullable(text "the channel's number of this request"),
    ms = nullable(integer "milliseconds it took"), sent_at = moment "when it left",
})

schemas.attempt = resource("attempt", "att", "One order at one channel, on behalf of a payment.", {
    payment = id("pay", "whose attempt it is"),
    state = enum("where it stands", "new issued sent waiting_payer processing unknown authorized succeeded "
        .. "declined cancelled expired"),
    channel = text "name of the channel", account = text "channel account, a slug",
    product = text "way of paying", order_no = text "our number at the channel",
    trade_no = nullable(text "the channel's number"), expires_at = moment "when the order ends",
    amount = integer("asked for" .. amount_unit), currency = currency,
    code = nullable(text "the channel's last code"), channel_code = nullable(text "the same, raw"),
    decision = nullable(object("who chose the channel", {
        by = enum("what decided", "rule request default failover"), reason = nullable(text "why"),
        script = nullable(text "place in a script"), generation = nullable(text "of the scripts"),
        candidates = list_of({}, "channels that could have been chosen"),
    })),
    evidence = nullable(text "the notification (ntf_…) or call (cal_…) that proved the state"),
    calls = list_of(ref "call", "oldest first; none in an event"),
    polls = nullable(integer "queries so far; null in an event"),
})

schemas.refund = resource("refund", "ref", "Money given back.", {
    payment = id("pay", "of which payment"), attempt = id("att", "the order that gives the money back"),
    merchant_refund_id = text "the merchant's own number, unique for ever",
    state = enum("where it stands", "created pending unknown succeeded failed abnormal cancelled"),
    amount = integer("given back" .. amount_unit), currency = currency,
    reason = nullable(text "the merchant's words"), refund_no = text "our number at the channel",
    channel_refund_no = nullable(text "the channel's number"), failure = nullable(failure),
    succeeded_at = nullable(moment "when the channel gave it back"),
})

-- ---- events, notifications, timeline ----

schemas.event = object("One change, for ever.", {
    id = id("evt", "names this event"), object = one "event",
    type = text "what happened, such as payment.paid", timestamp = moment "when",
    api_version = text "of data", merchant = text "slug of the merchant", livemode = boolean "real money",
    sequence = integer "the payment's version",
    actor = text "who: key_…, operator, channel:alipay, timer …",
    data = { anyOf = json.array { ref "payment", ref "attempt", ref "refund" },
        description = "the object as of the event" },
    chain = object("what makes a changed event visible", {
        version = integer "place in the payment's chain", prev = nullable(id("evt", "the event before")),
        hash = with({ type = "string", pattern = "^[0-9a-f]{64}$" }, "SHA-256 over this event and prev"),
        seal = nullable(integer "number of the merchant's seal over it; null: within the next second"),
    }),
})

schemas.check = object("One check of a notification.", {
    name = enum("what", "source size decode form algorithm window identity signature decrypt order amount "
        .. "state commit"),
    verdict = enum("how it ended", "pass fail skipped"), detail = nullable(text "why"),
    micros = nullable(integer "microseconds it took"),
})

local differs = object("the one field that, set to our order's amount, makes the signature fit", {
    field = text "its name", received = text "what came", signed = text "what was signed",
})

schemas.notification = resource("notification", "ntf", "A message of a channel, and what the checks said.", {
    channel = text "name of the channel", account = text "channel account, a slug",
    verdict = enum("what the checks said", "pass refused error"),
    failed_check = nullable(text "the check that refused it"),
    effect = enum("what it did", "applied none review late surplus unknown_order"),
    checks = list_of(ref "check", "in order"),
    payment = nullable(id("pay", "that it names")), attempt = nullable(id("att", "that it names")),
    key_id = nullable(text "of the key that signed it"), source = text "the sender's address",
    raw_sha256 = text "of the bytes as received",
    evidence = nullable(object("what its signature proves", {
        key_id = nullable(text "of the key"), account = text "channel account, a slug",
        raw_sha256 = text "of the bytes", at = moment "when it came",
    })),
    signed_text = nullable(text "what was signed, personal data masked"),
    first = nullable(id("ntf", "the notification that this one repeats")),
    repeats = list_of({ type = "string" }, "notifications with the same bytes"),
    received_at = moment "when it came",
    answered = object("what the channel was told", {
        status = integer "of HTTP", body = text "the body",
    }),
    hint = nullable(text "what to do about a refusal"), differs = nullable(differs),
}, "hint differs")

schemas.timeline = object("The story of a payment, oldest first.", {
    object = one "timeline", payment = id("pay", "whose story it is"),
    entries = list_of(ref "timeline_entry", "in order of time"),
})

schemas.timeline_entry = object("One thing that happened. Which facts there are depends on kind.", {
    at = moment "when",
    kind = enum("what it is", "event refund call notification repeat"),
    id = nullable(text "evt_…, cal_… or ntf_…"),
    facts = map("what is known of it, by name; absent is absent", {}),
})

-- ---- channels, accounts, keys ----

schemas.channel = object("A channel that payments can go through.", {
    object = one "channel", name = text "its name",
    title = map("its name for people, by language", { type = "string" }),
    products = map("ways of paying by name", object("a way of paying", {
        next_action = text "type of next_action", currencies = list_of({ type = "string" }, "ISO 4217"),
        min = integer("least amount" .. amount_unit), max = integer("greatest amount" .. amount_unit),
        expires_in = object("life of an order", {
            min = integer "seconds", max = integer "seconds",
        }),
    })),
    capabilities = list_of({ type = "string" }, "what else the channel can do"),
})

schemas.account = object("A channel account of the merchant.", {
    id = text "its slug", object = one "account", merchant = text "slug of the merchant",
    livemode = boolean "real money", channel = text "name of the channel",
    environment = enum("which gateway", "production sandbox"), zone = text "the channel's business day",
})

schemas.api_key = object("An API key. Its text is shown once, to whoever makes it.", {
    id = id("key", "names this key"), object = one "api_key", merchant = text "slug of the merchant",
    livemode = boolean "real money", key = text "the key itself, in the answer that makes it",
    note = nullable(text "whose it is"), scopes = list_of({ type = "string" }, "what it may do"),
    created_at = moment "when it was made", expires_at = nullable(moment "from when it is refused"),
    revoked_at = nullable(moment "since when it is refused"),
}, "key")

-- ---- the engine ----

schemas.system = object("What is running.", {
    object = one "system", version = text "of the program", api_version = text "of this API",
    dev = boolean "development mode", generation = nullable(text "reserved"),
    request_id = id("req", "of this answer"),
    listeners = list_of(object("one address", {
        name = enum("for whom", "api operations sandbox"), address = text "host:port",
    }), "where it can be reached"),
    nodes = list_of(object("one process", {
        workers = integer "threads", schema = integer "newest migration of the store",
    }), "processes"),
})

schemas.readiness = object("Is this engine fit to take money?", {
    ready = boolean "every check is ok",
    checks = list_of(object("one check", {
        name = enum("what", "store writer scripts clock disk keys"), ok = boolean "does it work",
        detail = text "what was found",
    }), "all checks"),
})

schemas.reload = object("What was read again.", {
    object = one "reload", certificates = integer "listeners whose certificate was read again",
    channels = list_of(text "name", "channels that have changed"),
    scripts = list_of(object("somebody's scripts", { owner = text "merchants/SLUG",
        generation = nullable(text "its generation; null: there are none any more") }),
        "what runs from now on"),
    refused = list_of(object("somebody's scripts", { owner = text "merchants/SLUG, channels or jobs",
        error = text "what is wrong, with file and line where there is one" }),
        "what is wrong, and does not run: what ran before goes on"),
    needs_restart = list_of(text "key of tael.lua", "what has changed and counts from the next start on"),
})

schemas.jobs = object("The operator's jobs.", {
    object = one "jobs",
    data = list_of(object("one job", {
        object = one "job", name = text "of its file", schedule = text "as in crontab, with its zone",
        merchants = with({ anyOf = json.array { { type = "string", const = "all" },
            { type = "array", items = { type = "string" } }, { type = "null" } } }, "for whom it runs"),
        last = nullable(object("its last slot; null: none yet", {
            slot = moment "by the schedule", state = enum("how it ended", "running done failed"),
        })),
        next = moment "its next slot",
    }), "by name"),
})

schemas.job_run = object("A job that has begun.", {
    object = one "job_run", name = text "of its file", slot = moment "for which it runs",
})

schemas.clock = object("The clock after it was put ahead.", {
    object = one "clock", now = moment "the engine's time", advanced_in = integer "seconds it went ahead",
    fired = integer "timers that came due and were run",
})

local generation = with({ type = "string", pattern = "^[0-9a-f]{16}$" }, "names these very texts")
local active = text "id of a version, or folder: the files beside the configuration"

local owner = text "whose they are: merchants/SLUG, or the operator's channels, jobs or routes"
local of_merchant = nullable(text "slug of the merchant; null: they are the operator's")

schemas.script_version = object("Somebody's scripts as they were pushed. Never changes.", {
    id = id("scr", "names this version"), object = one "script_version",
    owner = owner, merchant = of_merchant, livemode = nullable(boolean "real money"),
    generation = generation,
    hash = text "SHA-256 over paths and texts",
    base = nullable(id("scr", "the version that it began with")), author = text "who says to have written it",
    actor = text "whose credential brought it", message = text "what has changed, and why",
    active = boolean "it runs", created_at = moment "when it was pushed",
    files = map("texts by path; not in lists", { type = "string" }),
}, "files")

schemas.script_check = object("What a check of scripts found. Nothing was stored.", {
    object = one "script_check", owner = owner, merchant = of_merchant, ok = boolean "they may run",
    generation = nullable(generation), rules = list_of({ type = "string" }, "rules that there are"),
    names = list_of({ type = "string" }, "what is asked for: a merchant's endpoints, channels, jobs, routes"),
    errors = list_of(object("one thing that is wrong", {
        file = text "of scripts", line = integer "in file", code = enum("kind", "script_refused spec_failed"),
        detail = text "for people",
    }, "file line"), "everything that is wrong"),
    specs = nullable(object("their own specs; null: they were not run", {
        passed = integer "how many", failed = integer "how many", pending = integer "how many",
    })),
})

schemas.script_activation = object("Which scripts run from now on.", {
    object = one "script_activation", owner = owner, merchant = of_merchant, active = active,
    generation = nullable(generation), workers = integer "that run it for whoever asks from now on",
    ms = integer "from the commit until all of them knew",
})

schemas.script_diff = object("What differs between two versions.", {
    object = one "script_diff", owner = owner, merchant = of_merchant, from = id("scr", "one version"),
    to = id("scr", "the other"),
    files = list_of(object("a file that differs", {
        path = text "of the file", change = enum("how", "added removed changed"), diff = text "unified",
    }), "files that differ"),
})

schemas.problem = object("Why a request was refused (RFC 9457).", {
    type = text "address of the page about code", title = text "code in words", status = integer "of HTTP",
    code = text "for programs", detail = text "one sentence that says what to do",
    instance = text "path of the request; not there where it was refused before anybody read it",
    request_id = id("req", "of this answer; not there where the engine is too short of memory, or stops"),
    retriable = boolean "the same request may be repeated as it is",
    errors = list_of(object("one thing that is wrong", {
        pointer = text "JSON pointer into the body", parameter = text "of the query",
        header = text "of the request", file = text "of scripts", line = integer "in file",
        code = text "for programs", detail = text "for people",
    }, "pointer parameter header file line"), "everything that is wrong"),
    existing = text "id of the object that has this key or number",
    state = text "of the object",
    allowed = list_of({ type = "string" }, "states in which it would be allowed"),
    refundable = integer("what can still be given back" .. amount_unit),
    limit = enum("of the merchant's rules", "max_amount max_day_amount max_day_count"),
    max = integer "what the limit allows", free_at = moment "when the next day begins",
}, "errors existing state allowed refundable limit max free_at instance request_id")

--- A page of a list.
---@param name string of the objects in it
function objects.list(name)
    return object("A page of a list.", {
        data = list_of(ref(name), "the objects"),
        next_cursor = nullable(text("send it as cursor for the next page, also after one that holds "
            .. "less than was asked for; null: this is the last one")),
    })
end

return objects

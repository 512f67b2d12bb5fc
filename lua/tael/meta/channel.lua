---@meta
--- The room between the kernel and the channel packages (interfaces §7): what the functions of
--- lua/tael/channel promise the kernel, and what a package in scripts/channels/<name>/init.lua is.
--- Nothing here touches the store; nothing a package returns moves money without evidence.

-- ---- what a package's functions are given ----

--- Read only. Besides these the account has every field of the manifest by name; fields of type "key" hold
--- handles: use="sign" has :sign, use="verify" has :verify and :attest.
---@class tael.channel.Account
---@field id integer
---@field slug string
---@field environment "production"|"sandbox"
---@field zone string

--- Made by call.context; holds everything of the outside world that a pure function may use.
---@class tael.channel.Context
---@field payment { subject: string, description?: string, payer?: table }
---@field attempt table { order_no, amount (minor units), currency, product, expires_at? (ms) }
---@field now integer                  ms
---@field time { cst: string, rfc3339: string, unix: integer }   cst: "2026-01-15 10:20:30" in GMT+8
---@field nonce? string
---@field notify_url? string
---@field return_url? string
---@field options table                channel_options of this channel, {} when none

--- What build gives for a call; `local` instead when nothing leaves the machine (page, app).
---@class tael.channel.Request
---@field method? string
---@field url? string
---@field headers? table<string, string>
---@field form? table<string, string>
---@field json? any
---@field body? string
---@field timeout_ms? integer
---@field local? tael.channel.Result

---@class tael.channel.Result
---@field code? string            the channel's word, looked up in the manifest's codes
---@field channel_code? string    as the channel wrote it, for people
---@field message? string
---@field state? string           from a package: the channel's word; after interpret: an attempt state
---@field channel_state? string   after interpret: the channel's word
---@field trade_no? string
---@field order_no? string
---@field amount? integer         minor units
---@field currency? string
---@field at? integer             ms, when it was paid
---@field payer? table
---@field next_action? table

---@class tael.channel.Fact
---@field kind "payment"|"refund"|"transfer"|"split"|"agreement"|"probe"
---@field order_no? string
---@field refund_no? string
---@field trade_no? string
---@field state? string           after notification.facts: an attempt state ("unknown": not in states)
---@field channel_state? string   the channel's word
---@field alarm? string           set when a person should know: a word that is not mapped
---@field amount? integer
---@field currency? string
---@field seller? string
---@field at? integer             ms, when it was paid
---@field payer? table

--- Why a step refused: `check` is one of the names of interfaces §2 Notifications.
---@class tael.channel.Refusal
---@field check "decode"|"form"|"algorithm"|"identity"|"signature"
---@field detail string            one line for people, no secrets
---@field signed_text? string      signature: the text that should have been signed
---@field key_id? string           signature: the key it was checked with

--- Read from the message, proved by nothing yet.
---@class tael.channel.Claims
---@field identity table<string, string>  account field -> what the message says it is
---@field order_no? string
---@field trade_no? string
---@field notification_id? string         the channel's own id of the notification
---@field at? integer                     ms, when the channel says it sent this

-- ---- lua/tael/channel/loader.lua ----

---@class tael.channel.loader
local loader = {}

--- The packages of a scripts folder: packages.alipay is <folder>/channels/alipay/init.lua, loaded and checked
--- when first asked for; nil when there is no such file. A package that is broken raises an error table
--- {code="script_refused", message, file, line?, field?} whose text names file, line and field.
---@param folder string config.scripts.folder
---@return table<string, tael.channel.Package>
function loader.load(folder) end

-- ---- lua/tael/channel/account.lua ----

---@class tael.channel.account
local account = {}

--- Checks the channel fields of an account against the manifest and fills in defaults.
---@param package tael.channel.Package
---@param fields table
---@param environment "production"|"sandbox"
---@return table? normalised
---@return { code: "configuration_invalid", field: string, message: string }? err
function account.check(package, fields, environment) end

--- The table that the package's functions get: fields, and key handles in place of key names.
---@param package tael.channel.Package
---@param record { id: integer, slug: string, environment: string, zone?: string, fields: table }
---@return tael.channel.Account?
---@return { code: "configuration_invalid", field: string, message: string }? err
function account.prepare(package, record) end

-- ---- lua/tael/channel/call.lua: around one call, in this order ----

---@class tael.channel.ContextParts
---@field now integer
---@field payment table
---@field attempt table
---@field notify_url? string
---@field return_url? string
---@field options? table
---@field nonce? string

--- code: invalid_field currency_not_supported amount_out_of_range product_not_supported missing_field
--- not_implemented_by_channel script_failed
---@class tael.channel.BuildError
---@field code string
---@field channel string
---@field field? string
---@field detail string

---@class tael.channel.call
local call = {}

--- now is an argument and not the clock, so that the same stored facts give the same signed bytes again.
---@param parts tael.channel.ContextParts
---@return tael.channel.Context
function call.context(parts) end

--- Checks the manifest's limits of the product, then builds. A refusal is the input's fault and names it.
---@param package tael.channel.Package
---@param op string "create", "query" …
---@param prepared tael.channel.Account
---@param ctx tael.channel.Context
---@return tael.channel.Request?
---@return tael.channel.BuildError? err
function call.build(package, op, prepared, ctx) end

--- Waits. No answer is an answer too: give both results to interpret.
---@param request tael.channel.Request
---@return { status: integer, headers: table, raw: string, ms: integer, at: integer }? answer
---@return { code: string, sent: boolean }? err
function call.send(request) end

---@class tael.channel.Outcome
---@field class "ok"|"declined"|"pending"|"unknown"|"not_sent"|"not_found"|"config"
---@field reason? string        one line: why, when the class is not ok
---@field decline_code? string  declined: a word of interfaces §1 (402)
---@field waiting? boolean      not_found: normal for this product before the payer opens the order
---@field alarm? string         a person should know
---@field result? tael.channel.Result
---@field evidence? userdata    set whenever the answer's signature held
---@field message? userdata     the tael.message of the answer; nil when nothing came

--- Never raises: whatever a package does wrong, a missing or bad signature and a lost answer are "unknown".
---@param package tael.channel.Package
---@param op string
---@param prepared tael.channel.Account
---@param answer table?
---@param ctx tael.channel.Context
---@param err { code: string, sent: boolean }?
---@return tael.channel.Outcome
function call.interpret(package, op, prepared, answer, ctx, err) end

-- ---- lua/tael/channel/notification.lua: the kernel calls these one by one; none raises or waits ----

---@class tael.channel.notification
local notification = {}

--- Presence and shape of the fields that sign, and the algorithm (threats §3, check 4).
---@return true?
---@return tael.channel.Refusal?
function notification.form(package, prepared, message) end

--- What the message says of itself; claims.at is for the window (check 5), claims.order_no for the log.
---@return tael.channel.Claims?
---@return tael.channel.Refusal?
function notification.claims(package, prepared, message) end

--- Compares claims.identity with the account (check 6).
---@return true?
---@return tael.channel.Refusal?
function notification.identity(package, prepared, claims) end

--- Check 7. The evidence is of this very message and account.
---@return userdata? evidence
---@return tael.channel.Refusal?
function notification.verify(package, prepared, message) end

--- Only what was signed. state is mapped to an attempt state.
---@return tael.channel.Fact[]?
---@return tael.channel.Refusal?
function notification.facts(package, prepared, evidence) end

--- The answer to the channel, which never says more than this.
---@param outcome "accepted"|"refused"|"failed"
---@return { status: integer, headers: table<string, string>, body: string }
function notification.ack(package, outcome) end

-- ---- lua/tael/channel/returned.lua ----

---@class tael.channel.returned
local returned = {}

--- The order number of a signed return of the payer's browser; nil when it does not verify. Display only.
---@param query string raw, still encoded
---@param at integer ms
---@return string? order_no
function returned.verify(package, prepared, query, at) end

-- ---- a package: scripts/channels/<name>/init.lua returns this ----

---@class tael.channel.Package
---@field name string                      ^[a-z][a-z0-9]{1,15}$, the folder's name
---@field api 1
---@field title { en: string, zh: string }
---@field fields table<string, tael.channel.Field>
---@field rules? table[]                   {exactly_one_of={…}} {requires={…}} {differ={…}}: not one key pair
---@field options? table<string, tael.channel.Field>
---@field products table<string, tael.channel.Product>
---@field capabilities table
--- a meaning: "ok" "pending" "unknown" "not_found" "retry" {"declined", word} {"config", text}
---@field codes table<string, string|table>
---@field states table<string, string>      channel's word -> attempt state
---@field notify? tael.channel.Notify
---@field stated? { notification?: tael.channel.Stated, query?: tael.channel.Stated }
---@field create? tael.channel.Operation
---@field query? tael.channel.Operation
--- about is {op: string, status: integer}
---@field verify_answer? fun(account: table, answer: userdata, about: table): userdata?, string?
---@field notification? tael.channel.NotificationOperation
---@field return_? { verify: fun(account: tael.channel.Account, message: userdata): string? }

--- Which signed field states a member of a fact ("a.b" inside JSON): the kernel reads it there itself and
--- refuses a fact that says something else. A member that is not declared must stand somewhere in what was
--- signed.
---@class tael.channel.Stated
---@field order_no? string
---@field trade_no? string
---@field state? string    the channel's word, compared when it says that money came
---@field amount? string
---@field seller? string

---@class tael.channel.Field
---@field type "string"|"integer"|"boolean"|"enum"|"url"|"key"|"secret"|"list"
---@field doc string
---@field required? boolean
---@field default? any
---@field sandbox? any        default in the sandbox environment
---@field match? string       strings: Lua pattern
---@field max? integer        strings: bytes; integers: value
---@field min? integer
---@field values? string[]    enum
---@field use? "sign"|"verify"   key
---@field algorithm? "rsa"       key

---@class tael.channel.Product
---@field next_action string
---@field currencies table<string, true>
---@field min integer          minor units
---@field max integer
---@field expires { [1]: string, [2]: string }   shortest and longest life of an order
---@field query_after string[]
---@field not_found "waiting"|"closed"|"unknown"
---@field needs? string[]      "payer.openid"
---@field subject? integer|tael.channel.TextLimit
---@field description? integer|tael.channel.TextLimit

---@class tael.channel.TextLimit
---@field max integer          characters
---@field refuse? string       none of these characters

---@class tael.channel.Notify
---@field methods string[]
---@field content "form"|"json"
---@field charset? string
---@field max_body integer        bytes
---@field window_s integer        0: the time is no reason to refuse
---@field ack string[]            accepted, refused

--- build(account, ctx) → request | nil, {field, message}; parse(account, evidence, answer, ctx) → result
---@class tael.channel.Operation
---@field build fun(account: tael.channel.Account, ctx: tael.channel.Context): tael.channel.Request?, table?
---@field parse? fun(account: table, evidence: userdata, answer: userdata, ctx: table): tael.channel.Result

---@class tael.channel.NotificationOperation
---@field parse fun(account: table, message: userdata): tael.channel.Claims?, string|tael.channel.Refusal
---@field verify fun(account: tael.channel.Account, message: userdata): userdata?, string?
--- the material that verify tries first, for people
---@field signed? fun(account: tael.channel.Account, message: userdata): userdata
---@field facts fun(account: tael.channel.Account, evidence: userdata): tael.channel.Fact[]

return { loader = loader, account = account, call = call, notification = notification, returned = returned }

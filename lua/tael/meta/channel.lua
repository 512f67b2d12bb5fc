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

---@class tael.channel.ContextRefund
---@field refund_no string    our number of the refund at the channel; every repeat has the same
---@field amount integer      minor units
---@field currency string
---@field reason? string

--- Made by call.context; holds everything of the outside world that a pure function may use.
---@class tael.channel.Context
---@field payment { subject: string, description?: string, payer?: table }
---@field attempt table { order_no, amount (minor units), currency, product, expires_at? (ms) }
---@field refund? tael.channel.ContextRefund  of refund and refund_query
---@field now integer                  ms
---@field time { cst: string, rfc3339: string, unix: integer }   cst: "2026-01-15 10:20:30" in GMT+8
---@field nonce string                of order and time
---@field notify_url? string
---@field return_url? string
---@field options table                channel_options of this channel, {} when none

--- What build gives for a call; `local` alone when nothing leaves the machine (page, app). call.build hands
--- on a checked copy: method, url and pool are set in it, or `local` is.
---@class tael.channel.Request
---@field method? "GET"|"POST"|"PUT"|"PATCH"|"DELETE"
---@field url? string              http or https
---@field headers? table<string, string>
---@field form? table<string, string>   at most one of form, json and body
---@field json? table
---@field body? string
---@field timeout_ms? integer      from 100; default and at most: timeouts[op], else client.total
---@field pool? string             set by call.build: connections are the account's own
---@field local? { next_action: tael.channel.NextAction }

--- What the payer gets, one shape per type (interfaces §3). Another member, or one of another form, is
--- refused with the whole result. page_url, svg_url and expires_at are the kernel's to add.
---@class tael.channel.NextAction
---@field type "redirect"|"form"|"qr_code"|"app"|"jsapi"|"mini_program"|"wait"|"confirm_transfer"|"sdk"
---@field method? "GET"|"POST"     redirect GET, form POST
---@field url? string              redirect, form
---@field charset? string          form
---@field fields? table<string, string>   form
---@field code_url? string         qr_code
---@field sdk? string              app, sdk
---@field order_string? string     app: this or params
---@field bridge? string           jsapi
---@field api? string              mini_program, confirm_transfer
---@field params? table<string, string>   app, jsapi, mini_program, confirm_transfer, sdk
---@field poll_after_ms? integer   wait
---@field hint? "payer_password"|"processing"|"unknown"   wait

--- What parse reads out of the signed part of an answer. Only these members are kept, each of this type;
--- a wrong one makes the answer "unknown". By operation:
--- create        code, next_action (or state, where the order is decided at once)
--- query         code, state, order_no, trade_no, amount, currency, at?
--- close         code, order_no, trade_no
--- cancel        code, order_no, trade_no?, state = "cancelled" or nil, reversed, again
--- refund        code, state?, order_no, trade_no, refunded_total, currency, at?
--- refund_query  code, state?, order_no, trade_no, refund_no, amount, currency, at?; a refund that the
---               channel does not know has a code that means "not_found"
---@class tael.channel.Result
---@field code string             the channel's word, looked up in op_codes[op], then in codes
---@field channel_code? string    as the channel wrote it, for people
---@field message? string         cut to 512 bytes
---@field state? string           from a package: the channel's word (cancel: "cancelled"); after interpret:
---                               an attempt state, of refund operations a refund state; nil unless class is
---                               "ok" or the word is unknown
---@field channel_state? string   the channel's word (cancel: the package sets it)
---@field trade_no? string
---@field order_no? string
---@field refund_no? string       refund_query
---@field amount? integer         minor units; of refund_query: of this refund
---@field refunded_total? integer refund: all refunds of the trade together, this one included
---@field currency? string
---@field at? integer             ms, when it was paid or refunded
---@field payer? table<string, string>
---@field next_action? tael.channel.NextAction  create
---@field reversed? boolean       cancel: it had been paid, and the money went back
---@field again? boolean          cancel: the channel wants the same request once more
---@field given_back? boolean     the state says "was paid, all was given back": an attempt that has succeeded
---                               stays as it is, and nobody need be told
---@field trace_no? string        the channel's number of this call, for its support; not signed

---@class tael.channel.Fact
---@field kind "payment"|"refund"|"transfer"|"split"|"agreement"|"probe"
---@field order_no? string
---@field refund_no? string
---@field trade_no? string
---@field state? string           after notification.facts: an attempt state, of kind "refund" a refund state
---                               ("unknown": not listed)
---@field channel_state? string   the channel's word
---@field alarm? string           set when a person should know: a word that is not mapped
---@field given_back? boolean     as in a result
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
---@param folder string config.scripts.channels
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
---@field refund? tael.channel.ContextRefund
---@field notify_url? string
---@field return_url? string
---@field options? table

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
---@return { code: string, sent: boolean, message: string? }? err  "request": it was none that can be sent
function call.send(request) end

--- class: "unknown" no answer, one that nobody signed, or one that nobody understands: the only way on is to
--- ask again. "not_sent" certainly no byte left. All others have evidence:
--- "ok" (read result.state) · "pending" under way · "declined" finally no · "not_found" the channel does not
--- know it · "conflict" the state of the order forbids it: read the state · "config" our keys, contract or
--- request, nothing was done · "abnormal" nothing was done, a person has to do something, after which the
--- very same request may be repeated
---@class tael.channel.Outcome
---@field class "ok"|"declined"|"pending"|"unknown"|"not_sent"|"not_found"|"conflict"|"config"|"abnormal"
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

--- What the message says of itself, after presence and shape of the fields that sign, and the algorithm
--- (threats §3, check 4); claims.at is for the window (check 5), claims.order_no for the log.
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
---@field capabilities tael.channel.Capabilities
--- a meaning: "ok" "pending" "unknown" "not_found" "retry" (unknown, and worth repeating) "conflict"
--- {"declined", word} {"config", text} {"abnormal", text}
---@field codes table<string, string|table>
--- codes that mean something else in one operation
---@field op_codes? table<string, table<string, string|table>>
---@field states table<string, string>          channel's word -> attempt state
---@field refund_states? table<string, string>  channel's word -> "succeeded" "pending" "failed" "abnormal"
---@field amounts? "decimal"|"minor"  how signed amounts are written; nil: decimal
---@field timeouts? table<string, string>       operation -> "10s"
---@field timeouts_ms? table<string, integer>   filled in by the loader
---@field notify? tael.channel.Notify
---@field stated? table<string, tael.channel.Stated>  by operation, and "notification"
---@field create? tael.channel.Operation
---@field query? tael.channel.Operation
---@field close? tael.channel.Operation
---@field cancel? tael.channel.Operation
---@field refund? tael.channel.Operation
---@field refund_query? tael.channel.Operation
--- about is {op: string, status: integer}; gives evidence, or nil and a string or a tael.channel.Unproved
---@field verify_answer? fun(account: table, answer: userdata, about: table): userdata?, any
---@field notification? tael.channel.NotificationOperation
---@field return_? { verify: fun(account: tael.channel.Account, message: userdata): string? }

--- Which signed field states a member of a fact ("a.b" inside JSON): the kernel reads it there itself and
--- refuses a fact that says something else. A member that is not declared must stand somewhere in what was
--- signed.
---@class tael.channel.Stated
---@field order_no? string
---@field trade_no? string
---@field state? string    the channel's word, compared when it says that money moved
---@field amount? string
---@field total? string    refunded_total
---@field refund_no? string
---@field seller? string

--- Filled in by the loader: query, close and cancel are true when the operation is there and nothing is said.
---@class tael.channel.Capabilities
---@field query? boolean
---@field close? boolean
---@field cancel? boolean
---@field refund? tael.channel.RefundCapability
---@field create? { repeatable?: boolean }   the same create again, with the same number, is harmless

---@class tael.channel.RefundCapability
---@field partial? boolean
---@field async? boolean
---@field max_count? integer      refunds of one order
---@field query_after? string     "10s": when a refund is asked about
---@field window? string          "365d" from the payment: how long it can be refunded
---@field query_after_ms integer  filled in
---@field window_ms? integer      filled in

--- Why an answer is no evidence. code: what it says of itself where nobody signed it; whoever runs the engine
--- is told, with the manifest's advice. alarm: what else they should know.
---@class tael.channel.Unproved
---@field reason string
---@field code? string
---@field alarm? string

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

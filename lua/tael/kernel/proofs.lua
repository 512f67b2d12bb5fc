--- Whether what an event names as its evidence is still there and still the same: the row, its digest, and
--- the sealed bytes for as long as they are kept. Reads only.
local crypto = require "tael.crypto"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local store_fault = require "tael.kernel.store_fault"

local proofs = {}

local kinds = {
    ntf = { statement = "notification.get", name = "notification", bytes = "raw", place = "ntf:%d" },
    cal = { statement = "call.get", name = "call", bytes = "answer", place = "cal:%d:answer" },
}

--- What is wrong with a piece of evidence of the scope's merchant; nil when nothing is. Raises when the store
--- does not answer.
---@param proof table as events name it: kind, id, digest (hex; none: a call that nothing answered)
---@return string?
function proofs.wrong(proof)
    local kind = kinds[proof.kind]
    if not kind then
        return "it is of no known kind"
    end
    local rows, err = store.query(kind.statement, { [kind.name] = proof.id })
    if not rows then
        store_fault.raise(err)
    elseif not rows[1] then
        return "the evidence is not there"
    end
    local row = rows[1]
    if (row.digest and crypto.hex.encode(row.digest)) ~= proof.digest then
        return "the evidence was changed"
    end
    local sealed = row[kind.bytes]
    if not sealed then
        return nil -- older than what is kept, or a call without an answer
    end
    local plain = secrets.open(sealed, kind.place:format(proof.id))
    if not plain then
        return "the evidence's bytes do not open"
    elseif not proof.digest or crypto.hex.encode(crypto.digest("sha256", plain)) ~= proof.digest then
        return "the evidence's bytes were changed"
    end
end

return proofs

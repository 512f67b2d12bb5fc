--- Questions between workers about what only their memory holds (refused messages, counters). Each
--- worker answers in a task of its own; a question goes to one worker at a time, over the mailboxes,
--- and is asked again when its wake was lost (a wake finds only who is waiting at that moment).
local json = require "tael.json"
local task = require "tael.task"

local workers = {}

local PATIENCE_MS = { 20, 250, 250 } -- soon once more: a worker that is only just starting hears nothing yet
local IDLE_MS, PAUSE_MS = 3600000, 1
local AGAIN_MS = { 1, 2, 4, 8 } -- between questions: what is asked for has often been done at once
local LIMITS = { max_string = 1 << 20, max_tokens = 1 << 24, max_members = 1 << 20 } -- it is ourselves

local topics = {}
local serving, asked = false, 0

--- Answers questions of this topic; handler must not wait.
---@param topic string
---@param handler fun(question: any): any plain data, nil for "nothing here"
function workers.answer(topic, handler)
    topics[topic] = handler
end

local function key_of(worker)
    return "workers.ask." .. worker
end

local function serve_one(text)
    local question = assert(json.decode(text, LIMITS))
    local handler = topics[question.topic]
    local answer = handler and handler(question.body)
    task.wake(question.reply, json.encode { answer = answer == nil and json.null or answer })
end

--- Starts answering on this worker. Once per worker.
function workers.serve()
    if serving then
        return
    end
    serving = true
    task.keep("workers", PAUSE_MS, function()
        local key = key_of((task.worker()))
        while true do
            local text = task.wait(key, IDLE_MS)
            if text then
                serve_one(text)
            end
        end
    end)
end

local function ask_one(worker, topic, body)
    local me = task.worker()
    for _, patience in ipairs(PATIENCE_MS) do
        asked = asked + 1
        local reply = ("workers.reply.%d.%d"):format(me, asked)
        task.wake(key_of(worker), json.encode { topic = topic, body = body, reply = reply })
        local text = task.wait(reply, patience)
        if text then
            local answer = assert(json.decode(text, LIMITS)).answer
            return answer ~= json.null and answer or nil
        end
    end
end

--- The answers of all workers that have one, this one's first. Waits.
---@param topic string
---@param body any plain data
---@param enough boolean? stop at the first answer
---@return any[]
function workers.ask(topic, body, enough)
    local answers = {}
    local me, count = task.worker()
    answers[1] = topics[topic](body)
    for worker = 1, count do
        if enough and #answers > 0 then
            break
        elseif worker ~= me then
            answers[#answers + 1] = ask_one(worker, topic, body)
        end
    end
    return answers
end

--- Waits before the same is asked once more, longer each time.
---@param pauses integer that were made before
---@return integer pauses
function workers.pause(pauses)
    pauses = pauses + 1
    task.wait("workers.pause", AGAIN_MS[math.min(pauses, #AGAIN_MS)])
    return pauses
end

return workers

-- An AppInst is Healthy when the site runs what was asked for and says that it is healthy. What is on its way
-- is Progressing, and Degraded only when it needs a person (Stalled) or its time is over; so is one whose site
-- is cut off: what runs there may serve, and the site may come back. Follows kstatus.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
if ready == nil then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end
local function is(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local message = ready.reason .. ": " .. ready.message
if is("Stalled") then
  return { status = "Degraded", message = conditions.Stalled.reason .. ": " .. conditions.Stalled.message }
end
if is("Reconciling") then
  return { status = "Progressing", message = message }
end
if obj.spec.suspend == true or ready.reason == "PoweredOff" then
  return { status = "Suspended", message = message }
end
if ready.status == "True" then
  if is("UpdateAvailable") then
    return { status = "Healthy", message = conditions.UpdateAvailable.message }
  end
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = message }

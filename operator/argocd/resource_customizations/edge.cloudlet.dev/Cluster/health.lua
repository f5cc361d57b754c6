-- A Cluster is a part of a site. While the site is not Ready it is Healthy all the same and says so: the
-- Cloudlet has a health of its own, and no wave is to wait for a machine out there.
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
local message = ready.reason .. ": " .. ready.message
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  return { status = "Degraded", message = message }
end
if ready.status == "True" or ready.reason == "CloudletNotReady" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = message }

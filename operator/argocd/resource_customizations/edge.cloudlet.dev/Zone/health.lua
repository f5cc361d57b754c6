-- A Zone is a name, in force once the operator has seen it. One without a site that is Ready is Healthy:
-- its sites come in a later wave, which would wait for it for ever.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    if condition.reason == "InUse" then
      return { status = "Progressing", message = condition.reason .. ": " .. condition.message }
    end
    return { status = "Healthy", message = condition.message }
  end
end
return { status = "Progressing", message = "The operator has not looked at it yet." }

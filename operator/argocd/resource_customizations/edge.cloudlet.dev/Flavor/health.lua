-- A Flavor is a size and has no status: it is in force as soon as it is there.
return { status = "Healthy", message = "It can be asked for." }

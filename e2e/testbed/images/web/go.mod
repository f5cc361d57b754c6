module cloudlet.test/web

go 1.21

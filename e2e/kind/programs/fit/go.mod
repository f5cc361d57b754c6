module cloudlet.test/kind-fit

go 1.21

module edgeguard-example

go 1.19

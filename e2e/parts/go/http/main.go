// Go's net/http as caller and called. See e2e/parts/README.md for what both understand.
//
//	http serve HTTP1_PORT HTTP2_PORT
//	http call 1|2 BASE REQUESTS
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "call":
		call(os.Args[2] == "2", os.Args[3], os.Args[4])
	default:
		fmt.Fprintln(os.Stderr, "usage: http serve HTTP1_PORT HTTP2_PORT | http call 1|2 BASE REQUESTS")
		os.Exit(2)
	}
}

// pattern is the body of n bytes that all programs of the matrix send.
func pattern(n int) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = byte(i % 251)
	}
	return body
}

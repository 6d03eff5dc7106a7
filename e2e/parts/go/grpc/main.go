// grpc-go as caller and called, with bytes as messages. See e2e/matrix/grpc.ts for what is asked.
//
//	grpc serve PORT
//	grpc call TARGET
package main

import (
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: grpc serve PORT | grpc call TARGET")
	}
	encoding.RegisterCodecV2(raw{})
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	} else {
		call(os.Args[2])
	}
}

// raw passes bytes on as they are, under the name that other libraries send for them.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("no bytes: %T", v)
	}
	*message = data.Materialize()
	return nil
}

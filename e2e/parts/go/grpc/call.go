package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func call(target string) {
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	unary := func(method string, message []byte, options ...grpc.CallOption) ([]byte, error) {
		var answer []byte
		err := connection.Invoke(ctx, "/test.Matrix/"+method, &message, &answer, options...)
		return answer, err
	}
	open := func(ctx context.Context, method string, client, server bool) grpc.ClientStream {
		stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: client, ServerStreams: server}, "/test.Matrix/"+method)
		must(err)
		return stream
	}
	saw := map[string]any{}

	said, err := unary("Echo", []byte("hello"))
	must(err)
	saw["unary"] = string(said)
	megabyte := bytes.Repeat([]byte("m"), 1<<20)
	said, err = unary("Echo", megabyte)
	must(err)
	saw["megabyte"] = bytes.Equal(said, megabyte)
	said, err = unary("Echo", megabyte, grpc.UseCompressor(gzip.Name))
	must(err)
	saw["compressed"] = bytes.Equal(said, megabyte)

	counting := open(ctx, "Count", false, true)
	must(counting.SendMsg(ptr([]byte("1000"))))
	must(counting.CloseSend())
	messages, length := 0, 0
	for {
		var message []byte
		if err := counting.RecvMsg(&message); err == io.EOF {
			break
		} else {
			must(err)
		}
		messages++
		length += len(message)
	}
	saw["serverStream"] = []int{messages, length}

	summing := open(ctx, "Sum", true, false)
	for range 1000 {
		must(summing.SendMsg(ptr(bytes.Repeat([]byte("y"), 1000))))
	}
	must(summing.CloseSend())
	var total []byte
	must(summing.RecvMsg(&total))
	saw["clientStream"] = string(total)

	chat := open(ctx, "Chat", true, true)
	echoed := 0
	for range 100 {
		must(chat.SendMsg(ptr([]byte("ping"))))
		var message []byte
		must(chat.RecvMsg(&message))
		if string(message) == "ping" {
			echoed++
		}
	}
	must(chat.CloseSend())
	var message []byte
	saw["bothWays"] = []any{echoed, chat.RecvMsg(&message) == io.EOF}

	var trailer metadata.MD
	_, err = unary("Fail", nil, grpc.Trailer(&trailer))
	failed := status.Convert(err)
	saw["failure"] = []any{int(failed.Code()), failed.Message(), strings.Join(trailer.Get("why-bin"), "") == "\x00\x01\xfe\xff"}
	_, err = unary("Nothing", nil)
	saw["unimplemented"] = int(status.Code(err))

	large := strings.Repeat("l", 6000)
	ctx = metadata.AppendToOutgoingContext(ctx, "x-large", large)
	var header, late metadata.MD
	_, err = unary("Metadata", nil, grpc.Header(&header), grpc.Trailer(&late))
	must(err)
	saw["metadata"] = []bool{strings.Join(header.Get("x-large"), "") == large, strings.Join(late.Get("x-late"), "") == large}

	left := func() string {
		said, err := unary("Left", nil)
		must(err)
		return string(said)
	}
	before := left()
	short, cancelShort := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancelShort()
	hanging := open(short, "Hang", false, true)
	must(hanging.SendMsg(ptr([]byte{})))
	must(hanging.CloseSend())
	saw["deadline"] = int(status.Code(hanging.RecvMsg(&message)))

	cancellable, cancelNow := context.WithCancel(ctx)
	hanging = open(cancellable, "Hang", false, true)
	must(hanging.SendMsg(ptr([]byte{})))
	must(hanging.CloseSend())
	time.AfterFunc(300*time.Millisecond, cancelNow)
	saw["cancelled"] = status.Code(hanging.RecvMsg(&message)) == codes.Canceled
	saw["serverSawBoth"] = false
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && saw["serverSawBoth"] == false; time.Sleep(10 * time.Millisecond) {
		saw["serverSawBoth"] = number(left()) == number(before)+2
	}
	must(json.NewEncoder(os.Stdout).Encode(saw))
}

func number(text string) (n int) {
	must(json.Unmarshal([]byte(text), &n))
	return n
}

func ptr(message []byte) *[]byte { return &message }

package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func serve(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(description(), nil)
	log.Fatal(server.Serve(listener))
}

func description() *grpc.ServiceDesc {
	var left atomic.Int64
	unary := func(name string, answer func(ctx context.Context, message []byte) ([]byte, error)) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var message []byte
			if err := decode(&message); err != nil {
				return nil, err
			}
			answered, err := answer(ctx, message)
			return &answered, err
		}}
	}
	return &grpc.ServiceDesc{
		ServiceName: "test.Matrix",
		Methods: []grpc.MethodDesc{
			unary("Echo", func(_ context.Context, message []byte) ([]byte, error) { return message, nil }),
			unary("Fail", func(ctx context.Context, _ []byte) ([]byte, error) {
				grpc.SetTrailer(ctx, metadata.Pairs("why-bin", "\x00\x01\xfe\xff"))
				return nil, status.Error(codes.NotFound, "no such thing: ü 100%\n")
			}),
			unary("Metadata", func(ctx context.Context, _ []byte) ([]byte, error) {
				received, _ := metadata.FromIncomingContext(ctx)
				grpc.SetHeader(ctx, metadata.MD{"x-large": received.Get("x-large")})
				grpc.SetTrailer(ctx, metadata.MD{"x-late": received.Get("x-large")})
				return []byte{}, nil
			}),
			unary("Left", func(context.Context, []byte) ([]byte, error) { return []byte(strconv.FormatInt(left.Load(), 10)), nil }),
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Count", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				var message []byte
				if err := stream.RecvMsg(&message); err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(message))
				for range n {
					answer := bytes.Repeat([]byte("x"), 1000)
					if err := stream.SendMsg(&answer); err != nil {
						return err
					}
				}
				return nil
			}},
			{StreamName: "Sum", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				total := 0
				for {
					var message []byte
					if err := stream.RecvMsg(&message); err == io.EOF {
						answer := []byte(strconv.Itoa(total))
						return stream.SendMsg(&answer)
					} else if err != nil {
						return err
					}
					total += len(message)
				}
			}},
			{StreamName: "Chat", ClientStreams: true, ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				for {
					var message []byte
					if err := stream.RecvMsg(&message); err == io.EOF {
						return nil
					} else if err != nil {
						return err
					}
					if err := stream.SendMsg(&message); err != nil {
						return err
					}
				}
			}},
			{StreamName: "Hang", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				<-stream.Context().Done()
				left.Add(1)
				return stream.Context().Err()
			}},
		},
	}
}

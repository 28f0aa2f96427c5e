// The server of gRPC's helloworld for Go, for comparison: without its line in the log for each call, and with the port in PORT.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/examples/helloworld/helloworld"
)

type greeter struct {
	pb.UnimplementedGreeterServer
}

func (*greeter) SayHello(_ context.Context, request *pb.HelloRequest) (*pb.HelloReply, error) {
	return &pb.HelloReply{Message: "Hello " + request.GetName()}, nil
}

func main() {
	port, given := os.LookupEnv("PORT")
	if !given {
		port = "3000"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		os.Exit(0)
	}()
	server := grpc.NewServer()
	pb.RegisterGreeterServer(server, &greeter{})
	log.Fatal(server.Serve(listener))
}

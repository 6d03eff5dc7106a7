// Go's server of HTTP/1.1 and HTTP/2, which prints what it took for a request; and its client, which prints what it took for an answer.
//
//	corpus serve PORT | corpus call URL COUNT
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func serve(port string) {
	released := make(chan struct{})
	lines := make(chan []byte)
	go func() {
		for line := range lines {
			fmt.Println(string(line))
		}
	}()
	handler := func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		forged := []string{}
		for name, values := range request.Header {
			if strings.Contains(strings.Join(values, " "), "forged") {
				forged = append(forged, name)
			}
		}
		text := []rune{}
		for _, b := range body {
			text = append(text, rune(b))
		}
		line, _ := json.Marshal(map[string]any{"method": request.Method, "target": request.RequestURI, "host": request.Host, "body": string(text), "forged": forged})
		lines <- line
		switch request.RequestURI {
		case "/release":
			close(released)
		case "/hold":
			<-released
		}
		fmt.Fprint(response, "read")
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: "0.0.0.0:" + port, Handler: http.HandlerFunc(handler), Protocols: &protocols}
	log.Fatal(server.ListenAndServe())
}

func call(base string, count int) {
	client := &http.Client{Timeout: 5 * time.Second}
	for id := range count {
		for _, path := range []string{"answer", "end"} {
			read := map[string]any{"id": id, "path": path}
			response, err := client.Get(fmt.Sprintf("%s/%s%d", base, path, id))
			if err == nil {
				var body []byte
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
				read["status"], read["body"], read["refused"] = response.StatusCode, string(body), response.Header.Get("weft-error")
			}
			if err != nil {
				read["error"] = err.Error()
			}
			line, _ := json.Marshal(read)
			fmt.Println(string(line))
		}
	}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	call(os.Args[2], count)
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"
)

type request struct {
	Method        string
	Path          string
	Fields        map[string]string
	Body          *int
	Chunked       bool
	Expect        bool
	Times         int
	Parallel      bool
	CancelAfterMs int
	Until         string
}

type answer struct {
	Status   int               `json:"status"`
	Version  string            `json:"version"`
	Text     string            `json:"text"`
	Length   int               `json:"length"`
	Digest   string            `json:"digest"`
	Fields   map[string]string `json:"fields"`
	Interim  []int             `json:"interim"`
	Trailers map[string]string `json:"trailers"`
	Reused   int               `json:"reused"`
	Same     int               `json:"same"`
	Error    string            `json:"error,omitempty"`
}

func call(http2 bool, base, text string) {
	var requests []request
	if err := json.Unmarshal([]byte(text), &requests); err != nil {
		log.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	client := &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{Protocols: &protocols, ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 100},
	}
	answers := []answer{}
	for _, r := range requests {
		answers = append(answers, repeat(client, base, r))
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}

// repeat sends a request as often as it says; the first answer counts how many were the same.
func repeat(client *http.Client, base string, r request) answer {
	first := send(client, base, r)
	for deadline := time.Now().Add(5 * time.Second); r.Until != "" && first.Text != r.Until && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		first = send(client, base, r)
	}
	first.Same = 1
	var lock sync.Mutex
	var all sync.WaitGroup
	one := func() {
		next := send(client, base, r)
		lock.Lock()
		defer lock.Unlock()
		first.Reused += next.Reused
		if next.Status == first.Status && next.Digest == first.Digest {
			first.Same++
		}
	}
	for range r.Times - 1 {
		if r.Parallel {
			all.Go(one)
		} else {
			one()
		}
	}
	all.Wait()
	return first
}

func send(client *http.Client, base string, r request) answer {
	a := answer{Interim: []int{}}
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				a.Reused++
			}
		},
		Got100Continue: func() { a.Interim = append(a.Interim, 100) },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code != 100 {
				a.Interim = append(a.Interim, code)
			}
			return nil
		},
	})
	if r.CancelAfterMs > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(r.CancelAfterMs)*time.Millisecond)
		defer cancel()
		ctx = limited
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(pattern(*r.Body))
		if r.Chunked {
			body = io.MultiReader(body)
		}
	}
	method := r.Method
	if method == "" {
		method = "GET"
	}
	out, err := http.NewRequestWithContext(ctx, method, base+r.Path, body)
	if err != nil {
		log.Fatal(err)
	}
	for name, value := range r.Fields {
		// Go asks for gzip by itself, and unpacks only what it asked for.
		if name != "accept-encoding" {
			out.Header.Set(name, value)
		}
	}
	if r.Expect {
		out.Header.Set("Expect", "100-continue")
	}
	back, err := client.Do(out)
	if err != nil {
		a.Error = err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			a.Error = "cancelled"
		}
		return a
	}
	defer back.Body.Close()
	content, err := io.ReadAll(back.Body)
	if err != nil {
		a.Error = err.Error()
	}
	sum := sha256.Sum256(content)
	a.Status, a.Length, a.Digest = back.StatusCode, len(content), hex.EncodeToString(sum[:])
	a.Version = strings.TrimSuffix(fmt.Sprintf("%d.%d", back.ProtoMajor, back.ProtoMinor), ".0")
	if len(content) <= 4000 {
		a.Text = string(content)
	}
	a.Fields, a.Trailers = flat(back.Header), flat(back.Trailer)
	return a
}

func flat(header http.Header) map[string]string {
	fields := map[string]string{}
	for name, values := range header {
		fields[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return fields
}

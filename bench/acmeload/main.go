// SPDX-License-Identifier: Apache-2.0
// acmeload drives full ACME orders (RFC 8555, http-01) in a closed loop and prints one JSON line: the same load for
// every ACME server. With -step-tokens it prepares signing requests for step-ca instead.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/crypto/acme"
)

type worker struct {
	client *acme.Client
	key    *ecdsa.PrivateKey
	tokens *sync.Map
}

func (w *worker) order(ctx context.Context, name string) error {
	order, err := w.client.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return fmt.Errorf("newOrder: %w", err)
	}
	for _, url := range order.AuthzURLs {
		authorization, err := w.client.GetAuthorization(ctx, url)
		if err != nil {
			return fmt.Errorf("authorization: %w", err)
		}
		if authorization.Status == acme.StatusValid {
			continue
		}
		for _, challenge := range authorization.Challenges {
			if challenge.Type != "http-01" {
				continue
			}
			response, err := w.client.HTTP01ChallengeResponse(challenge.Token)
			if err != nil {
				return err
			}
			w.tokens.Store(challenge.Token, response)
			if _, err := w.client.Accept(ctx, challenge); err != nil {
				return fmt.Errorf("challenge: %w", err)
			}
		}
		if _, err := w.client.WaitAuthorization(ctx, url); err != nil {
			return fmt.Errorf("validation: %w", err)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, w.key)
	if err != nil {
		return err
	}
	if order, err = w.client.WaitOrder(ctx, order.URI); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	if _, _, err := w.client.CreateOrderCert(ctx, order.FinalizeURL, csr, true); err != nil {
		return fmt.Errorf("finalize: %w", err)
	}
	return nil
}

func quantile(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(p*float64(len(sorted)-1))].Microseconds()) / 1000
}

func load(directory, listen, domain string, workers int, duration time.Duration) error {
	tokens := &sync.Map{}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if response, ok := tokens.Load(filepath.Base(r.URL.Path)); ok {
			fmt.Fprint(w, response)
			return
		}
		http.NotFound(w, r)
	}))
	transport := &http.Transport{MaxIdleConnsPerHost: workers, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ctx := context.Background()
	all := make([]*worker, workers)
	for i := range all {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		client := &acme.Client{Key: account, DirectoryURL: directory, HTTPClient: &http.Client{Transport: transport},
			RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return 10 * time.Millisecond }}
		if _, err := client.Register(ctx, &acme.Account{Contact: []string{"mailto:load@example.test"}}, acme.AcceptTOS); err != nil {
			return fmt.Errorf("newAccount: %w", err)
		}
		all[i] = &worker{client, key, tokens}
	}
	var mutex sync.Mutex
	var latencies []time.Duration
	failures := 0
	first := ""
	begun := time.Now()
	var group sync.WaitGroup
	for i, w := range all {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; time.Since(begun) < duration; n++ {
				start := time.Now()
				err := w.order(ctx, fmt.Sprintf("o%x-%d-%d.%s", begun.UnixMilli(), i, n, domain))
				mutex.Lock()
				if err != nil {
					failures++
					if first == "" {
						first = err.Error()
					}
				} else {
					latencies = append(latencies, time.Since(start))
				}
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	seconds := time.Since(begun).Seconds()
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"per_second": float64(len(latencies)) / seconds,
		"p50_ms": quantile(latencies, 0.5), "p99_ms": quantile(latencies, 0.99), "requests": len(latencies), "failed": failures, "first_failure": first})
}

// One body of POST /1.0/sign a line: step-ca takes each token once.
func stepTokens(keyFile, audience, out string, count int) error {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s: no PEM", keyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	key := parsed.(*ecdsa.PrivateKey)
	public := jose.JSONWebKey{Key: key.Public(), Algorithm: "ES256", Use: "sig", KeyID: "bench"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", public.KeyID))
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(public)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out+".jwk", encoded, 0o644); err != nil {
		return err
	}
	subject, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "host.load.test"},
		DNSNames: []string{"host.load.test"}}, subject)
	if err != nil {
		return err
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	now := time.Now()
	// step-ca refuses tokens that were issued before it started; its clock check lets a minute pass.
	issued := now.Add(30 * time.Second)
	encoder := json.NewEncoder(file)
	for i := 0; i < count; i++ {
		token, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: "bench", Audience: jwt.Audience{audience}, Subject: "host.load.test",
			IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)),
			Expiry: jwt.NewNumericDate(now.Add(290 * time.Second)), ID: fmt.Sprintf("%x-%d", now.UnixNano(), i)}).
			Claims(map[string]any{"sans": []string{"host.load.test"}}).Serialize()
		if err != nil {
			return err
		}
		if err := encoder.Encode(map[string]string{"csr": csr, "ott": token}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	directory := flag.String("directory", "", "ACME directory")
	listen := flag.String("listen", "127.0.0.1:5002", "where challenges are answered")
	domain := flag.String("domain", "load.test", "names are made below it")
	workers := flag.Int("c", 16, "orders at once, one account each")
	duration := flag.Duration("d", 6*time.Second, "how long")
	tokens := flag.String("step-tokens", "", "write signing requests for step-ca here")
	key := flag.String("key", "", "provisioner's key (PKCS #8) for -step-tokens")
	audience := flag.String("audience", "", "of the tokens")
	count := flag.Int("n", 20000, "tokens")
	flag.Parse()
	var err error
	if *tokens != "" {
		err = stepTokens(*key, *audience, *tokens, *count)
	} else {
		err = load(*directory, *listen, *domain, *workers, *duration)
	}
	if err != nil {
		log.Fatal("acmeload: ", err)
	}
}

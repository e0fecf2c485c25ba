// flynn_peer: the Go package github.com/flynn/noise as one side of a handshake, over standard input
// and output, with the line protocol of line.h.  The requests are those of noise_peer.c as far as
// that package goes, which is version 1.0.0:
//
//   - 25519 only; the patterns of the table below and at most one PSK;
//   - it does not mix the ephemeral key of a pre-message in a psk handshake (Noise 9.2), so there
//     is no fallback with a PSK;
//   - it checks neither the length of messages nor the direction of one-way patterns.
//
// "generate e" makes the ephemeral key that a fallback's responder has sent before.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/flynn/noise"
)

var patterns = []noise.HandshakePattern{
	noise.HandshakeN, noise.HandshakeK, noise.HandshakeX,
	noise.HandshakeNN, noise.HandshakeNK, noise.HandshakeNX,
	noise.HandshakeKN, noise.HandshakeKK, noise.HandshakeKX,
	noise.HandshakeXN, noise.HandshakeXK, noise.HandshakeXX,
	noise.HandshakeIN, noise.HandshakeIK, noise.HandshakeIX,
	noise.HandshakeXXfallback,
}

var ciphers = map[string]noise.CipherFunc{
	"ChaChaPoly": noise.CipherChaChaPoly, "AESGCM": noise.CipherAESGCM,
}

var hashes = map[string]noise.HashFunc{
	"SHA256": noise.HashSHA256, "SHA512": noise.HashSHA512,
	"BLAKE2s": noise.HashBLAKE2s, "BLAKE2b": noise.HashBLAKE2b,
}

// What a request works on.  The package says of no key which direction it is for: the first one
// that it returns is the initiator's for sending (Noise 5.2).
type peer struct {
	s, e      noise.DHKey
	initiator bool
	hs        *noise.HandshakeState
	tx, rx    *noise.CipherState
}

func die(what string) {
	fmt.Fprintln(os.Stderr, "flynn_peer:", what)
	os.Exit(2)
}

func bytesOf(text string) []byte {
	if text == "-" || text == "" {
		return nil
	}
	decoded, err := hex.DecodeString(text)
	if err != nil {
		die("not hex")
	}
	return decoded
}

func textOf(data []byte) string {
	if len(data) == 0 {
		return "-"
	}
	return hex.EncodeToString(data)
}

// The value of the word "name=value", or "".
func named(words []string, name string) string {
	for _, word := range words {
		if strings.HasPrefix(word, name+"=") {
			return word[len(name)+1:]
		}
	}
	return ""
}

// "XX" or "XXpsk3": the pattern of the table and the digit.
func findPattern(section string) (noise.HandshakePattern, string) {
	base, psk := section, ""
	if at := strings.Index(section, "psk"); at >= 0 {
		base, psk = section[:at], section[at+3:]
	}
	for _, pattern := range patterns {
		if pattern.Name == base {
			return pattern, psk
		}
	}
	die("no such pattern")
	return noise.HandshakePattern{}, ""
}

func (p *peer) generate(words []string) (string, error) {
	key, err := noise.DH25519.GenerateKeypair(nil)
	if err != nil {
		return "", err
	}
	if words[1] == "e" {
		p.e = key
	} else {
		p.s = key
	}
	return textOf(key.Public), nil
}

func (p *peer) create(words []string) (string, error) {
	sections := strings.Split(named(words, "protocol"), "_")
	if len(sections) != 5 {
		die("not a protocol's name")
	}
	pattern, psk := findPattern(sections[1])
	p.initiator = named(words, "role") == "initiator"
	config := noise.Config{
		CipherSuite:   noise.NewCipherSuite(noise.DH25519, ciphers[sections[3]], hashes[sections[4]]),
		Pattern:       pattern,
		Initiator:     p.initiator,
		Prologue:      bytesOf(named(words, "prologue")),
		PeerStatic:    bytesOf(named(words, "rs")),
		PeerEphemeral: bytesOf(named(words, "re")),
	}
	if named(words, "s") != "" {
		config.StaticKeypair = p.s
	}
	if named(words, "e") != "" {
		config.EphemeralKeypair = p.e
	}
	if psk != "" {
		config.PresharedKeyPlacement = int(psk[0] - '0')
		config.PresharedKey = bytesOf(named(words, "psk"+psk))
	}
	hs, err := noise.NewHandshakeState(config)
	p.hs, p.tx, p.rx = hs, nil, nil
	return "", err
}

func (p *peer) keep(first, second *noise.CipherState) {
	p.tx, p.rx = first, second
	if !p.initiator {
		p.tx, p.rx = second, first
	}
}

func (p *peer) write(words []string) (string, error) {
	out, first, second, err := p.hs.WriteMessage(nil, bytesOf(words[1]))
	p.keep(first, second)
	return textOf(out), err
}

func (p *peer) read(words []string) (string, error) {
	out, first, second, err := p.hs.ReadMessage(nil, bytesOf(words[1]))
	p.keep(first, second)
	return textOf(out), err
}

func (p *peer) encrypt(words []string) (string, error) {
	out, err := p.tx.Encrypt(nil, bytesOf(words[2]), bytesOf(words[3]))
	return textOf(out), err
}

func (p *peer) decrypt(words []string) (string, error) {
	out, err := p.rx.Decrypt(nil, bytesOf(words[2]), bytesOf(words[3]))
	return textOf(out), err
}

func (p *peer) rekey(words []string) (string, error) {
	if words[1] == "sending" {
		p.tx.Rekey()
	} else {
		p.rx.Rekey()
	}
	return "", nil
}

func (p *peer) answer(words []string) (string, error) {
	switch words[0] {
	case "forget":
		*p = peer{}
		return "", nil
	case "generate":
		return p.generate(words)
	case "new":
		return p.create(words)
	case "write":
		return p.write(words)
	case "read":
		return p.read(words)
	case "remote":
		return textOf(p.hs.PeerStatic()), nil
	case "hash":
		return textOf(p.hs.ChannelBinding()), nil
	case "split":
		if p.tx == nil || p.rx == nil {
			return "", errors.New("not finished")
		}
		return "", nil
	case "encrypt":
		return p.encrypt(words)
	case "decrypt":
		return p.decrypt(words)
	case "rekey":
		return p.rekey(words)
	}
	die("no such request")
	return "", nil
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	var p peer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		text, failure := p.answer(strings.Split(strings.TrimSuffix(line, "\n"), " "))
		if failure != nil {
			// Which of its errors it is does not matter to the driver: that it refused does.
			fmt.Fprintf(out, "err %s\n", strings.ReplaceAll(failure.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, strings.TrimSpace("ok "+text))
		}
		out.Flush()
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names the program that pebble_test.py runs, so that its version and those of all that it is made of are fixed here.
package tools

import _ "github.com/letsencrypt/pebble/v2/cmd/pebble"

#!/bin/sh
# Answers in Latin-1.
printf 'caf\351'
